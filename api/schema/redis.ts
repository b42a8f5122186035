/** How a Redis is reached. `spec.redis` and `spec.sink.bullmq.redis` have this shape. */
import { z } from 'zod'
import { guarded, type Rule } from './rules.ts'
import { count, dataKey, objectName, text } from './scalars.ts'

const keyOf = (kind: 'Secret' | 'ConfigMap') =>
  z
    .strictObject({
      name: objectName().describe(`Name of the ${kind}, in the pipeline's namespace.`),
      key: dataKey().describe(`Key in the ${kind}.`),
    })
    .meta({ 'x-kubernetes-map-type': 'atomic' })

const eitherReference: Rule = {
  rule: 'has(self.secretKeyRef) != has(self.configMapKeyRef)',
  message: 'name exactly one place: secretKeyRef: {name, key} or configMapKeyRef: {name, key}',
  reason: 'FieldValueInvalid',
}

const reference = guarded(
  z.strictObject({
    secretKeyRef: keyOf('Secret').optional().describe('A key of a Secret.'),
    configMapKeyRef: keyOf('ConfigMap').optional().describe('A key of a ConfigMap.'),
  }),
  eitherReference,
)

const secretReference = z.strictObject({ secretKeyRef: keyOf('Secret').describe('A key of a Secret.') })

const port = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'
const host = '([^ :/@?#{}\\\\[\\\\]]+|\\\\[[0-9a-fA-F:.]+\\\\])'

const url = guarded(
  text(1024),
  {
    rule: `self.contains('@') || self.contains('?') || self.matches('^rediss?://${host}(:${port})?(/[0-9]{0,5})?$')`,
    message: 'write redis://host:port/database, or rediss:// for TLS',
    reason: 'FieldValueForbidden',
  },
  {
    rule: "!self.contains('@') && !self.contains('?')",
    message:
      'no credentials or options here, where every reader of the resource sees them: put user and password in a Secret and name it in usernameFrom and passwordFrom, or put the whole url in a Secret and name it in urlFrom',
    reason: 'FieldValueForbidden',
  },
)

const nodes = z
  .array(
    guarded(text(300), {
      rule: `self.matches('^${host}:${port}$')`,
      message: 'write host:port, such as redis-0.redis:6379',
      reason: 'FieldValueForbidden',
    }),
  )
  .min(1)
  .max(64)
  .meta({ 'x-kubernetes-list-type': 'atomic' })

const sentinel = z.strictObject({
  master: text(253).describe('Name of the master in the configuration of the Sentinels.'),
  nodes: nodes.describe('Addresses of Sentinels, `host:port`.'),
  database: count(0, 65535).default(0).describe('Number of the database on the master.'),
  usernameFrom: reference.optional().describe('ACL user at the Sentinels themselves, if they need one.'),
  passwordFrom: secretReference.optional().describe('Password for the Sentinels themselves, if they need one.'),
})

const tls = guarded(
  z.strictObject({
    caFrom: reference
      .optional()
      .describe("CA certificates in PEM, for the check of the server's certificate. Omitted: those of the system."),
    certFrom: reference.optional().describe('Client certificate in PEM, if the server requires one.'),
    keyFrom: secretReference.optional().describe('Private key of the client certificate, in PEM.'),
    serverName: text(253).optional().describe("Name that the server's certificate must have. Omitted: the host of the address."),
  }),
  {
    rule: 'has(self.certFrom) == has(self.keyFrom)',
    message: 'a client certificate needs its key: set certFrom and keyFrom together, or neither',
    reason: 'FieldValueInvalid',
  },
)

export const redisSchema = guarded(
  z.strictObject({
    url: url.optional().describe('`redis://host:port/database`, or `rediss://` for TLS. It may not hold credentials.'),
    urlFrom: reference.optional().describe('Secret or ConfigMap that has the whole URL, with credentials.'),
    sentinel: sentinel.optional().describe('A master behind Sentinels.'),
    cluster: z
      .strictObject({ nodes: nodes.describe('Addresses of some nodes, `host:port`. These name the other nodes.') })
      .optional()
      .describe('A Redis Cluster.'),
    usernameFrom: reference.optional().describe('ACL user. Omitted: the default user.'),
    passwordFrom: secretReference.optional().describe('Password of that user.'),
    tls: tls.optional().describe("TLS settings. `{}` turns TLS on with the system's CAs. With `url`, write `rediss://` too."),
  }),
  {
    rule: '[has(self.url), has(self.urlFrom), has(self.sentinel), has(self.cluster)].exists_one(x, x)',
    message: 'say how to reach Redis in exactly one way: url, urlFrom, sentinel or cluster',
    reason: 'FieldValueInvalid',
  },
  {
    rule: "!has(self.tls) || !has(self.url) || !self.url.startsWith('redis://')",
    message: 'tls is set but the url says plain redis://: write rediss://, or drop tls',
    fieldPath: '.tls',
    reason: 'FieldValueInvalid',
  },
)

export type RedisSpec = z.output<typeof redisSchema>
export type ReferenceSpec = z.output<typeof reference>
