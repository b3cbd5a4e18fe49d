/** The gateway's side of the pages of identity. */
import { AUDIT_ACTIONS } from './api/identity';
import { describeFailure } from './failure';
import { i18n } from './i18n/i18n.svelte';
import { identityTexts } from './i18n/identity/texts.svelte';
import type { IdentityContext } from './identityContext';
import { router } from './router.svelte';
import { session } from './session.svelte';

export const gatewayIdentity: IdentityContext = {
  session,
  router,
  describeFailure: (error) => describeFailure(error, i18n.m, identityTexts.t.problem),
  get texts() {
    const { form, audit } = identityTexts.t;
    return { roleHint: form.roleHint, auditHint: audit.hint, system: audit.actorKind.system };
  },
  defaultRole: 'cashier',
  auditActions: AUDIT_ACTIONS,
};
