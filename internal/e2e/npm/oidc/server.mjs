// An authorization server: npm's oidc-provider with its own pages for login and consent, rotating refresh tokens, dynamic registration,
// resource indicators, introspection and revocation, all as the package does them. Beside it, on a port of its own, is what a test
// wants to know and to do, which no client can reach: see control.
//
// It needs in its environment RESOURCE, the MCP server's URL; REDIRECT_URI, where people's sign-ins come back to; CLIENT_SECRET, of both
// clients that are registered from the start; EMAIL, of whoever logs in.
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';

const { RESOURCE, REDIRECT_URI, CLIENT_SECRET, EMAIL } = process.env;

const scope = 'mcp:tools';
let lifetime = 3; // of access tokens that are made from now on, in seconds
const grants = new Set(); // of clients that have registered themselves
const journal = { refreshed: 0, refused: [], revoked: 0, waiting: 0 };

// The gate at which requests for tokens wait while it is shut.
let gate = Promise.resolve();
let open = () => {};

function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

const front = createServer();
const issuer = await listen(front);

const provider = new Provider(issuer, {
  clients: [
    { client_id: 'perdure-sign-in', client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI] },
    { client_id: 'mcp-server', client_secret: CLIENT_SECRET, redirect_uris: [], response_types: [], grant_types: [] },
  ],
  scopes: ['openid', 'offline_access', 'email', 'profile'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: false, // as most providers: the address is in the ID token
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: EMAIL, email_verified: true }) }),
  cookies: { keys: [CLIENT_SECRET] },
  rotateRefreshToken: true,
  ttl: { AccessToken: () => lifetime },
  features: {
    introspection: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(ctx, resource) {
        if (resource !== RESOURCE) throw new errors.InvalidTarget();
        return { scope, audience: resource, accessTokenFormat: 'opaque' };
      },
    },
  },
});

const isRefresh = (ctx) => ctx.oidc.params?.grant_type === 'refresh_token';
provider.on('grant.success', (ctx) => {
  if (ctx.oidc.client.clientId !== 'perdure-sign-in') grants.add(ctx.oidc.entities.Grant.jti);
  if (isRefresh(ctx)) journal.refreshed++;
});
provider.on('grant.error', (ctx, error) => {
  journal.refused.push(`${ctx.oidc.params?.grant_type}: ${error.error}: ${error.error_detail ?? error.error_description}`);
});
provider.on('grant.revoked', () => { journal.revoked++; });
provider.on('server_error', (ctx, error) => console.error(error));

const serve = provider.callback();
front.on('request', async (req, res) => {
  if (req.method === 'POST' && req.url === '/token') {
    journal.waiting++;
    await gate;
    journal.waiting--;
  }
  serve(req, res);
});

const control = {
  'GET /journal': () => journal,
  // Whoever owns the account withdraws what they have granted.
  'POST /revoke': async () => {
    for (const id of grants) {
      await Promise.all([provider.AccessToken, provider.RefreshToken].map((model) => model.revokeByGrantId(id)));
      await (await provider.Grant.find(id))?.destroy();
    }
    const ended = grants.size;
    grants.clear();
    return { ended };
  },
  'POST /shut': () => { gate = new Promise((resolve) => { open = resolve; }); return {}; },
  'POST /open': () => { open(); return {}; },
  'POST /long-lived': () => { lifetime = 600; return {}; },
};

const address = await listen(createServer(async (req, res) => {
  const action = control[`${req.method} ${req.url}`];
  res.writeHead(action ? 200 : 404, { 'content-type': 'application/json' });
  res.end(JSON.stringify(action ? await action() : {}));
}));
console.log(`authorization server ${issuer} control ${address}`);
