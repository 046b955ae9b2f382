// An OpenID Connect provider as people meet them: pages to log in and to consent, PKCE, refresh
// tokens that rotate, revocation. Arguments: the port, and the folder that holds the npm package.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , port, folder] = process.argv;
const entry = join(folder, 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(entry));

// The tests' hubs listen on any port, as the loopback address of a native client may (RFC 8252).
const client = (id) => ({
  client_id: id,
  client_secret: 'known-to-hub-and-provider',
  application_type: 'native',
  redirect_uris: [
    'http://127.0.0.1/actions/people_one/oauth_redirect',
    'http://127.0.0.1/actions/people_two/oauth_redirect',
  ],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
});

const BRIEF = 'sendoff-brief';
const provider = new Provider('https://people.example', {
  clients: [client('sendoff'), client(BRIEF)],
  scopes: ['openid', 'offline_access', 'email'],
  claims: { openid: ['sub'], email: ['email'] },
  // Whoever gives a name and a password has an account.
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@people.example` }),
  }),
  features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  clockTolerance: 0,
  // Whatever token is revoked, the whole login is.
  revokeGrantPolicy: () => true,
  ttl: {
    AccessToken: (_, token, { clientId }) => (clientId === BRIEF ? 2 : 3600),
    AuthorizationCode: 60,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
  cookies: { keys: ['a key for cookies that last as long as the tests'] },
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1');
