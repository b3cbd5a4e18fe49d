/** Head office's side of the pages of identity, which it shares with the gateway. */
import type { AuditAction } from '../../src/lib/api/identity';
import { RequestError } from '../../src/lib/api/http';
import type { Failure } from '../../src/lib/failure';
import { identityTexts } from '../../src/lib/i18n/identity/texts.svelte';
import type { IdentityContext } from '../../src/lib/identityContext';
import { officeTexts } from '../lib/i18n/texts.svelte';
import { router } from '../lib/router';
import { session } from '../lib/session.svelte';
import { describeFailure as describe } from '../lib/statusLine';
import ShopsField from './ShopsField.svelte';
import { accountTexts } from './texts.svelte';

const AUDIT_ACTIONS: readonly AuditAction[] = [
  'sign-in-failed',
  'signed-in',
  'signed-out',
  'user-added',
  'user-changed',
  'user-removed',
  'session-ended',
  'token-added',
  'token-removed',
];

function describeFailure(error: unknown): Failure {
  const problem = error instanceof RequestError ? error.problem : null;
  const texts: Partial<Record<string, string>> = { ...identityTexts.t.problem, ...accountTexts.t.problem };
  const text = (problem && texts[problem.type]) ?? describe(error, officeTexts.t);
  return problem ? { text, details: problem.detail } : { text };
}

export const officeIdentity: IdentityContext = {
  session,
  router,
  describeFailure,
  get texts() {
    return accountTexts.t;
  },
  defaultRole: 'viewer',
  auditActions: AUDIT_ACTIONS,
  shops: {
    get needShop() {
      return accountTexts.t.shops.need;
    },
    Field: ShopsField,
    get describe() {
      return accountTexts.describeShops;
    },
  },
};
