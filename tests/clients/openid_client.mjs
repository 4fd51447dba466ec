// npm openid-client against a running server. Reads what to do from standard input, says what came.
import * as client from 'openid-client'
import { readFileSync } from 'node:fs'

const given = JSON.parse(readFileSync(0, 'utf8'))
const issuer = new URL(given.issuer)
const said = {}
const signing = await crypto.subtle.importKey(
  'jwk',
  given.private_jwk,
  { name: 'ECDSA', namedCurve: 'P-256' },
  false,
  ['sign'],
)
const proofs = {
  basic: client.ClientSecretBasic(given.client_secret),
  post: client.ClientSecretPost(given.client_secret),
  private_key_jwt: client.PrivateKeyJwt({ key: signing, kid: given.kid }),
}
const discovered = (id, proof, algorithm) =>
  client.discovery(issuer, id, undefined, proof, {
    algorithm,
    execute: [client.allowInsecureRequests],
  })
const me = async (config, token, options) =>
  (
    await client.fetchProtectedResource(
      config,
      token,
      new URL('/v1/auth/me', issuer),
      'GET',
      undefined,
      undefined,
      options,
    )
  ).status

for (const algorithm of ['oauth2', 'oidc']) {
  for (const [name, proof] of Object.entries(proofs)) {
    const config = await discovered(given.client_id, proof, algorithm)
    const token = await client.clientCredentialsGrant(config, { scope: given.scope })
    const before = await client.tokenIntrospection(config, token.access_token)
    const used = await me(config, token.access_token)
    await client.tokenRevocation(config, token.access_token)
    const after = await client.tokenIntrospection(config, token.access_token)
    said[`${algorithm} ${name}`] = {
      type: token.token_type,
      scope: token.scope,
      active: [before.active, after.active],
      sub: before.sub,
      used,
    }
  }
}

const config = await discovered(given.client_id, proofs.basic, 'oauth2')
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
const bound = await client.clientCredentialsGrant(config, {}, { DPoP })
said.dpop = { type: bound.token_type, used: await me(config, bound.access_token, { DPoP }) }

const publicConfig = await discovered('gatebook', client.None(), 'oauth2')
const first = await client.refreshTokenGrant(publicConfig, given.refresh_token)
const second = await client.refreshTokenGrant(publicConfig, first.refresh_token)
const pairs = [await me(publicConfig, second.access_token)]
await client.tokenRevocation(publicConfig, second.refresh_token)
try {
  pairs.push(await me(publicConfig, second.access_token))
} catch (error) {
  pairs.push(error.status)
}
said.refresh = pairs

console.log(JSON.stringify(said))
