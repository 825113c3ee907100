// Runs oidc-provider, a certified OpenID provider, on loopback. Its settings are the JSON of the first argument: the
// port, the clients, and what a test varies. Accounts are made up at the sign-in: any name and password will do.

import Provider from 'oidc-provider';

const { port, clients, ...variations } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients,
  claims: { openid: ['sub'] },
  clientBasedCORS: () => false,
  cookies: { keys: ['a key of the tests'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => [],
      getResourceServerInfo: (_, resource) => ({
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        scope: 'api',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  ttl: { Session: 86400, Grant: 86400, IdToken: 600, RefreshToken: 86400, AccessToken: 600 },
  ...variations,
});

const listen = () => provider.listen(port, '127.0.0.1', () => console.log('ready'));
let server = listen();

function close() {
  server.close(() => console.log('closed'));
  server.closeAllConnections();
}

process.on('SIGUSR2', () => (server.listening ? close() : (server = listen())));
process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 60_000); // keeps the process alive while it does not listen
