/** docs/redis.md: requirements on Redis. The rights of a consumer's user come from the table that the consumer checks. */
import { compilePipeline } from '../api/compile.ts'
import { parsePipeline } from '../api/validate.ts'
import { aclRules, dispatchRules, rights } from '../redis/preflight/permissions.ts'
import { workerRules } from '../redis/preflight/workerrights.ts'
import { lookLimits, wakeLimits, workLimits } from '../redis/reply/limits.ts'

const mebibytes = (bytes: number) => `${bytes / 2 ** 20} MiB`

const document = (redis: object, sink: object) =>
  compilePipeline(
    parsePipeline({
      apiVersion: 'streampipeline.dev/v1alpha1',
      kind: 'StreamPipeline',
      metadata: { name: 'ndvi' },
      spec: { redis, source: { stream: 'ndvi:jobs', group: 'ndvi' }, sink: { bullmq: { queue: 'ndvi', ...sink } } },
    }),
  )

const url = { url: 'redis://redis:6379/0' }

/** `ACL SETUSER`, keys first, wrapped as a shell takes it. */
function setUser(rules: readonly string[], user = 'ndvi-consumer'): string {
  const lines: string[] = [`redis-cli ACL SETUSER ${user} on '>PASSWORD' resetkeys resetchannels -@all`]
  let line = ''
  for (const rule of rules.map((text) => (text.includes('~') || text.includes('|') ? `'${text}'` : text))) {
    if (line.length + rule.length > 100) {
      lines.push(line)
      line = ''
    }
    line += `${line === '' ? '  ' : ' '}${rule}`
  }
  return ['```sh', [...lines, line].join(' \\\n'), '```'].join('\n')
}

const onlyText = {
  Cluster: 'in a cluster',
  Portable: 'on the portable path',
  Operator: 'the operator',
  Replay: '`dead replay` and `dead purge`',
  Status: '`status`',
} as const

export function redisDocument(): string {
  const one = aclRules(document(url, {}))
  const two = aclRules(document(url, { redis: { url: 'redis://queue:6379/0' } }))
  const cluster = aclRules(document({ cluster: { nodes: ['r1:6379'] } }, {}))
  const table = rights.map(
    ({ command, only, why }) =>
      `| \`${command.replace('|', '\\|')}\` | ${why}${only === undefined ? '' : `; ${onlyText[only]}`} |`,
  )
  return `# Redis

A pipeline needs Redis 7.0 or later, or Valkey, with \`maxmemory-policy noeviction\`. An evicted mark is a duplicate, an evicted job
a loss. Consumers check this at start, with the types of all keys and the rights of their user. They report each problem by name.

## Ways to reach it

| \`spec.redis\` | |
|---|---|
| \`url\`, \`urlFrom\` | One server. \`rediss://\` is TLS. A path is the number of the database: \`redis://host:6379/3\`. |
| \`sentinel\` | A master behind Sentinels. It is looked up again after each failover. |
| \`cluster\` | A Redis Cluster. Dead letters and queue share the stream's slot (prefix \`bull{TAG}\`), so that one script settles an entry. |
| \`sink.bullmq.redis\` | The queue elsewhere: another server, another cluster, or another slot of the same cluster. Jobs go first. If their server has replicas, one confirms each batch (\`WAIT\`) before the stream is acknowledged. |
| \`tls\` | \`caFrom\` for a private authority, \`certFrom\` and \`keyFrom\` for a client certificate, \`serverName\` if the certificate has another name than the address. |

After a failover, entries, jobs and marks that the old master had not replicated roll back together. An \`XADD\` that was not
replicated is lost, unless its producer waited for a replica (\`WAIT\`). This holds for every use of Redis.

If the server lacks a database, or the user lacks \`SELECT\`, the connection fails, at start and after each reconnect. Nothing is
ever written to database 0 instead.

## The pipeline's user

Consumers, the operator and \`dead\` share one user. These are its least rights for stream \`ndvi:jobs\` and queue \`ndvi\`. If a right
is missing, the consumer's log and the pipeline's status name it, with the rule that grants it.

${setUser(one.stream)}

With the queue in another Redis, at the stream's:

${setUser(two.stream)}

and at the queue's:

${setUser(two.queue ?? [])}

In a cluster, on every node, since nodes do not share ACLs:

${setUser(cluster.stream)}

- The hash tag in \`sp:{…}:*\` is the stream's, or its whole name if it has none. For a queue in another Redis it is the queue's
  (\`PREFIX:QUEUE\`).
- A pattern of an ACL holds no white space. The rule in a message has \`?\` in its place, which matches any one byte. It also has
  \`?\` for quotes, backslashes and invisible characters.
- No part uses pub/sub channels, so \`resetchannels\` removes nothing that is needed.
- Dispatchers and workers have users of their own, with fewer rights.

## A user that only dispatches

This is for an application that dispatches in mode Stream. In mode Direct a dispatcher adds jobs itself, and needs the rights of a
consumer.

${setUser(dispatchRules(document(url, {})), 'ndvi-producer')}

The second key holds the mode. Its name is made of the stream and the group. If it is refused, \`ACL LOG\` shows it.

Where requests may set options (\`sink.bullmq.allow\`), the dispatcher also reads the heartbeats of consumers. \`%R~\` needs Redis 7.

${setUser(dispatchRules(document(url, { allow: { maxDelay: '1h' } })), 'ndvi-producer')}

Such a user reads no entry, deletes none by id, and touches neither queue nor dead letters. It may still empty or close the
stream, since Redis has no rule for arguments of \`XADD\` ([details](tenancy.md#what-a-producer-can-do)).

## A user that only works

This is for \`createWorker\`, at the queue's Redis. The first pattern covers the keys of BullMQ's worker. The second covers the
execution locks, which take \`GET\`, \`SET\`, \`DEL\`, \`PEXPIRE\` and \`PTTL\`. The commands cover all features of BullMQ's worker, among
them limits, metrics, job schedulers and flows.

${setUser(workerRules(document(url, {})), 'ndvi-worker')}

Such a user reads neither the stream nor the dead letters, and it touches no other queue.

## References on this machine

\`up\`, \`dead\` and \`consume\` read the Secrets and ConfigMaps of a resource from a folder, \`--refs DIR\`. The file is
\`DIR/secret/NAME/KEY\` or \`DIR/configmap/NAME/KEY\`.

- NAME and KEY have the form that Kubernetes demands.
- The file is a regular one of at most 1 MiB. It lies inside DIR after symbolic links are resolved.
- Anything else is \`ReferenceMissing\`, with the field that refers to it. So a foreign resource cannot send a file of yours to its server.
- A value for \`urlFrom\` may be \`unix:///path/of/redis.sock\` here. The operator refuses it, since the sockets of its pod are its
  own.

## A connection that the application lends

\`createDispatcher\` and \`createWorker\` take a URL, or a connection of ioredis: any copy, majors 4 to 6, a Cluster too. A connection
that cannot be used is refused with \`InvalidOption\`, before anything is sent on it:

| Lent | |
|---|---|
| A client of another library, plain options, a URL without \`redis://\` or \`rediss://\` | Refused at once. |
| \`keyPrefix\` | Refused at once: no consumer would find its keys. BullMQ refuses it, too. |
| \`readOnly\`, \`role: 'slave'\`, \`scaleReads\` other than \`master\` | Refused at once. |
| A connection to a replica | The first dispatch and the worker's start fail with \`RedisNotReady\`. |
| An ended connection; one that monitors, or subscribes in RESP2 | The first dispatch fails with \`InvalidOption\`. A worker opens a connection of its own. |
| Another database than the pipeline names, by its options or selected since | Refused at once, or by the first dispatch. A dispatch configuration names no database. |
| \`lazyConnect\`, \`enableOfflineQueue: false\`, time limits | Works. The first dispatch waits until the connection is ready. |

## Servers that lack commands

Managed services and proxies remove some commands. Each part works without the commands that it does not need. If it lacks one
that it needs, it refuses to start, before anything is added, and names the command. Commands inside scripts are not affected.

| Lacking | What happens |
|---|---|
| \`ACL\`, \`CONFIG\`, \`DEBUG\`, \`FUNCTION\`, \`HELLO\`, \`MEMORY\`, \`SAVE\` and the like | Nothing: they are not needed. |
| \`CLIENT\`, or one of its subcommands | Connections have no names. At the end a blocking read is cut off, not woken. |
| \`ROLE\` | Replicas are found by \`INFO replication\`. |
| \`ROLE\` and \`INFO replication\` | Split and Portable: the warning \`ReplicationUnconfirmed\`. \`WAIT\` is tried every ten seconds, and for each batch once a replica has answered it. |
| \`WAIT\` | Split and Portable: a warning if there are replicas. \`stream_consumer_unconfirmed_batches_total\` counts the batches. |
| \`SELECT\` | Only database 0 can be used. |
| \`MULTI\`, \`SCRIPT LOAD\` | The portable path refuses to start. The others work. |
| \`TIME\` | The composed paths, and direct dispatch, refuse to start. |
| \`INFO server\`, \`INFO memory\` | Consumers refuse to start: they can judge neither version nor eviction. |
| \`INFO\` | Everything refuses to start. |

[The three paths](guarantees.md#the-three-paths) explains Atomic, Split and Portable. Atomic and Split are the composed ones.

## How much a reply may be

A server may send anything. A reply that no Redis sends, or that exceeds the bounds of its reader, closes the connection with
\`RedisReplyRefused\`. The next attempt opens another one.

| Reader | Bytes | Values | Lists within lists |
|---|---|---|---|
| The operator's looks | ${mebibytes(lookLimits.bytes)} | ${lookLimits.items} | ${lookLimits.depth} |
| The operator's wake-ups | ${mebibytes(wakeLimits.bytes)} | ${wakeLimits.items} | ${wakeLimits.depth} |
| Consumers, dispatchers, workers, the command line | ${mebibytes(workLimits.bytes)} | ${workLimits.items} | ${workLimits.depth} |

An entry that is too large for a wake-up still wakes its pipeline: the operator then asks for ids alone.

## The owner of a stream

The operator claims a stream and group for the pipeline that it serves. The claim is the field \`owner\` of the pipeline's \`stats\`
hash, and is renewed every half minute. A second pipeline of the same stream and group shows \`StreamClaimed\`. Its consumers read
on, but it publishes no mode in Redis, makes no group and keeps no scaling state there.

The claim passes on when its holder is deleted, or is not served for ten minutes. Local runs claim nothing.

## Every command

| Command | For |
|---|---|
${table.join('\n')}
`
}
