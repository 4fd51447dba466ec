// npm oauth4webapi against a running server. Reads what to do from standard input, says what came.
import * as oauth from 'oauth4webapi'
import { readFileSync } from 'node:fs'

const given = JSON.parse(readFileSync(0, 'utf8'))
const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(given.issuer)
const said = {}

const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
)
said.discovered = as.token_endpoint

const confidential = { client_id: given.client_id }
const signing = await crypto.subtle.importKey(
  'jwk',
  given.private_jwk,
  { name: 'ECDSA', namedCurve: 'P-256' },
  false,
  ['sign'],
)
const proofs = {
  basic: oauth.ClientSecretBasic(given.client_secret),
  post: oauth.ClientSecretPost(given.client_secret),
  private_key_jwt: oauth.PrivateKeyJwt({ key: signing, kid: given.kid }),
}

const grant = async (proof, options = {}) =>
  oauth.processClientCredentialsResponse(
    as,
    confidential,
    await oauth.clientCredentialsGrantRequest(
      as,
      confidential,
      proof,
      { scope: given.scope },
      { ...insecure, ...options },
    ),
  )

const introspect = async (token, proof) =>
  oauth.processIntrospectionResponse(
    as,
    confidential,
    await oauth.introspectionRequest(as, confidential, proof, token, insecure),
  )

const me = async (token, options = {}) =>
  (
    await oauth.protectedResourceRequest(
      token,
      'GET',
      new URL('/v1/auth/me', issuer),
      undefined,
      undefined,
      { ...insecure, ...options },
    )
  ).status

for (const [name, proof] of Object.entries(proofs)) {
  const token = await grant(proof)
  const before = await introspect(token.access_token, proof)
  const used = await me(token.access_token)
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, confidential, proof, token.access_token, insecure),
  )
  const after = await introspect(token.access_token, proof)
  said[name] = {
    type: token.token_type,
    scope: token.scope,
    active: [before.active, after.active],
    sub: before.sub,
    used,
  }
}

const pair = await oauth.generateKeyPair('ES256')
const DPoP = oauth.DPoP(confidential, pair)
const bound = await grant(proofs.basic, { DPoP })
const thumbprint = await DPoP.calculateThumbprint()
said.dpop = {
  type: bound.token_type,
  used: await me(bound.access_token, { DPoP }),
  bound: (await introspect(bound.access_token, proofs.basic)).cnf.jkt === thumbprint,
}

const publicClient = { client_id: 'gatebook' }
let refreshed = { refresh_token: given.refresh_token }
const pairs = []
for (let turn = 0; turn < 2; turn += 1) {
  refreshed = await oauth.processRefreshTokenResponse(
    as,
    publicClient,
    await oauth.refreshTokenGrantRequest(
      as,
      publicClient,
      oauth.None(),
      refreshed.refresh_token,
      insecure,
    ),
  )
  pairs.push(await me(refreshed.access_token))
}
await oauth.processRevocationResponse(
  await oauth.revocationRequest(
    as,
    publicClient,
    oauth.None(),
    refreshed.refresh_token,
    insecure,
  ),
)
try {
  pairs.push(await me(refreshed.access_token))
} catch (error) {
  pairs.push(error.status)
}
said.refresh = pairs

try {
  await grant(oauth.ClientSecretBasic('wrong'))
} catch (error) {
  said.refused = [error.constructor.name, error.status ?? 0]
}

console.log(JSON.stringify(said))
