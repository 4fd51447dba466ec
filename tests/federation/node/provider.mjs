// npm oidc-provider as somebody's identity provider. Reads what to be from standard input: port,
// client and the groups of people; says "ready" once it listens. Its keys are new at each start.
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import Provider from 'oidc-provider'

const given = JSON.parse(readFileSync(0, 'utf8'))
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })

const provider = new Provider(`http://127.0.0.1:${given.port}`, {
  clients: [
    {
      client_id: given.client_id,
      client_secret: given.client_secret,
      redirect_uris: [`${given.gatebook}/auth/oidc/callback`],
      post_logout_redirect_uris: [`${given.gatebook}/login`],
      backchannel_logout_uri: `${given.gatebook}/auth/oidc/back-channel-logout`,
      backchannel_logout_session_required: true,
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [{ ...key, use: 'sig', alg: 'ES256' }] },
  cookies: { keys: ['only for tests'] },
  claims: {
    openid: ['sub', 'groups'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  conformIdTokenClaims: false,
  // Its own guard lets nothing reach loopback, where Gatebook is in these tests.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  features: { backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      groups: given.groups[id] ?? [],
      name: `${id} of Example Works`,
      preferred_username: id,
      email: `${id}@example.org`,
      email_verified: true,
    }),
  }),
})

provider.on('backchannel.error', (_context, error) => console.error('back-channel', error))
provider.on('server_error', (_context, error) => console.error('server', error))
provider.listen(given.port, '127.0.0.1', () => console.log('ready'))
