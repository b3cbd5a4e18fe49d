/**
 * An OpenID Connect provider for the tests of head office: oidc-provider, which is certified for the standard. Users sign in
 * without a password: the request header `x-test-user` has the name, and `GROUPS` their groups.
 *
 *   node oidcProvider.mjs PORT_FILE REDIRECT_URI…
 *
 * It listens on a free port of 127.0.0.1 and writes the port to PORT_FILE.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const GROUPS = { boss: ['it', 'paris'], luc: ['paris', 'football'], stranger: ['football'] };

const [portFile, ...redirectUris] = process.argv.slice(2);

function createProvider(issuer) {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'comptoir',
        client_secret: 'a secret that only the tests use',
        redirect_uris: redirectUris,
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    claims: { openid: ['sub', 'groups'], profile: ['preferred_username'] },
    // Providers of companies put the groups into the ID token, too.
    conformIdTokenClaims: false,
    cookies: { keys: ['a key that only the tests use'] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, name) => ({
      accountId: name,
      claims: () => ({ sub: name, preferred_username: name.toUpperCase(), groups: GROUPS[name] }),
    }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    // Nobody is asked for consent.
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
    pkce: { required: () => true },
  });
  return provider;
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = createProvider(`http://127.0.0.1:${port}`);
  const answer = provider.callback();
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) return answer(request, response);
    const login = { accountId: request.headers['x-test-user'] };
    provider.interactionFinished(request, response, { login }).catch((error) => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  writeFileSync(`${portFile}.new`, String(port));
  renameSync(`${portFile}.new`, portFile);
});
