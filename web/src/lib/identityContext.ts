/** What the pages of identity need to know about the program that shows them: a gateway, or head office. */
import type { Component } from 'svelte';
import { createContext } from 'svelte';
import type { AuditAction, CurrentUser, Role } from './api/identity';
import type { Failure } from './failure';
import type { PageRouter } from './pageRouter.svelte';

/** The names of shops; `null` means all shops, also those that are added later. */
export type Shops = string[] | null;

export type ShopsFieldProps = { value: Shops; role: Role; error: string | null | undefined };

export type IdentityContext = {
  readonly session: {
    readonly user: Pick<CurrentUser, 'name' | 'kind'> | null;
    refresh(): Promise<void>;
    signOut(): Promise<void>;
  };
  readonly router: Pick<PageRouter<string>, 'parameter' | 'setParameter'>;
  /** @throws `error` itself if it is not a `RequestError`. */
  readonly describeFailure: (error: unknown) => Failure;
  /** Texts that differ between the programs, in the reader's language. */
  readonly texts: {
    readonly roleHint: Record<Role, string>;
    readonly auditHint: string;
    /** The program itself, as the actor of an audit entry. */
    readonly system: string;
  };
  /** The role that a new user has unless another one is chosen. */
  readonly defaultRole: Role;
  /** The actions that the program's audit log may have. */
  readonly auditActions: readonly AuditAction[];
  /** Head office restricts users and tokens to shops. A gateway has one shop. */
  readonly shops?: {
    /** Why a list without shops is refused. */
    readonly needShop: string;
    readonly Field: Component<ShopsFieldProps, object, 'value'>;
    readonly describe: (shops: readonly string[] | null) => string;
  };
};

export const [getIdentityContext, setIdentityContext] = createContext<IdentityContext>();
