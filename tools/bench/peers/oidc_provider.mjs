// Starts npm oidc-provider on an SQLite file: node oidc_provider.mjs PORT PROCESSES CLIENT SECRET
//
// Prints one line of JSON, the seeded refresh tokens, and then serves. Each write of the adapter is
// one transaction with synchronous = FULL: a token is on the disk before its answer is sent.

import cluster from 'node:cluster';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import Database from 'better-sqlite3';
import { Provider } from 'oidc-provider';

const CHAINS = 64;
const [port, processes, clientId, secret] = process.argv.slice(2);

const database = new Database('oidc.db', { timeout: 20000 });
database.pragma('journal_mode = WAL');
database.pragma('synchronous = FULL');
database.exec(`
  CREATE TABLE IF NOT EXISTS stored (
    model TEXT, id TEXT, payload TEXT, grant_id TEXT, uid TEXT, user_code TEXT, expires INTEGER,
    PRIMARY KEY (model, id)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS by_grant ON stored (grant_id) WHERE grant_id IS NOT NULL;
  CREATE INDEX IF NOT EXISTS by_uid ON stored (model, uid) WHERE uid IS NOT NULL;
  CREATE INDEX IF NOT EXISTS by_code ON stored (model, user_code) WHERE user_code IS NOT NULL;
`);
const COLUMN = 'SELECT payload, expires FROM stored WHERE model = ?';
const find = database.prepare(`${COLUMN} AND id = ?`);
const findByUid = database.prepare(`${COLUMN} AND uid = ?`);
const findByUserCode = database.prepare(`${COLUMN} AND user_code = ?`);
const upsert = database.prepare('INSERT OR REPLACE INTO stored VALUES (?, ?, ?, ?, ?, ?, ?)');
const consume = database.prepare(
  "UPDATE stored SET payload = json_set(payload, '$.consumed', ?) WHERE model = ? AND id = ?",
);
const destroy = database.prepare('DELETE FROM stored WHERE model = ? AND id = ?');
const revoke = database.prepare('DELETE FROM stored WHERE grant_id = ?');
const now = () => Math.floor(Date.now() / 1000);

function live(row) {
  return row && (row.expires === null || row.expires > now()) ? JSON.parse(row.payload) : undefined;
}

class SqliteAdapter {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload, expiresIn) {
    const { grantId = null, uid = null, userCode = null } = payload;
    const expires = expiresIn ? now() + expiresIn : null;
    upsert.run(this.model, id, JSON.stringify(payload), grantId, uid, userCode, expires);
  }

  async find(id) {
    return live(find.get(this.model, id));
  }

  async findByUid(uid) {
    return live(findByUid.get(this.model, uid));
  }

  async findByUserCode(userCode) {
    return live(findByUserCode.get(this.model, userCode));
  }

  async consume(id) {
    consume.run(now(), this.model, id);
  }

  async destroy(id) {
    destroy.run(this.model, id);
  }

  async revokeByGrantId(grantId) {
    revoke.run(grantId);
  }
}

function signingKey() {
  if (!existsSync('key.json')) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256', use: 'sig' };
    writeFileSync('key.json', JSON.stringify(jwk), { mode: 0o600 });
  }
  return JSON.parse(readFileSync('key.json', 'utf8'));
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: SqliteAdapter,
  clients: [{
    client_id: clientId,
    client_secret: secret,
    grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
    redirect_uris: ['https://client.example/callback'],
    id_token_signed_response_alg: 'ES256',
  }],
  cookies: { keys: ['bench-cookie-key'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
  },
  findAccount: async (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  jwks: { keys: [signingKey()] },
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 86400, RefreshToken: 86400 },
});

async function refreshToken(number) {
  const client = await provider.Client.find(clientId);
  const accountId = `account-${number}`;
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope('offline_access');
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId,
    gty: 'authorization_code',
    scope: 'offline_access',
    authTime: now(),
  });
  return token.save();
}

const alone = processes === '1';
if (cluster.isPrimary) {
  const refresh = [];
  for (let number = 0; number < CHAINS; number += 1) refresh.push(await refreshToken(number));
  console.log(JSON.stringify({ refresh }));
  if (!alone) for (let count = 0; count < Number(processes); count += 1) cluster.fork();
}
if (alone || cluster.isWorker) provider.listen(Number(port), '127.0.0.1');
