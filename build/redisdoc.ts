/** docs/redis.md: requirements on Redis. The rights of a consumer's user come from the table that the consumer checks. */
import { compilePipeline } from '../api/compile.ts'
import { parsePipeline } from '../api/validate.ts'
import { aclPermissions, aclRules, dispatchRules } from '../redis/preflight/permissions.ts'
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
  Specialised: 'optional',
} as const

export function redisDocument(): string {
  const one = aclRules(document(url, {}))
  const two = aclRules(document(url, { redis: { url: 'redis://queue:6379/0' } }))
  const cluster = aclRules(document({ cluster: { nodes: ['r1:6379'] } }, {}))
  const table = aclPermissions.map(
    ({ command, only, why }) =>
      `| \`${command.replace('|', '\\|')}\` | ${why}${only === undefined ? '' : `; ${onlyText[only]}`} |`,
  )
  return `# Redis

A pipeline needs Redis 7.0 or later, or Valkey, with \`maxmemory-policy noeviction\`. If Redis evicts a
[mark](guarantees.md#marks), a request may run twice. If it evicts a job, the job is lost. Consumers check version and policy at start.
They also check the types of all keys, and the rights of their user. They report each problem by name.

## Ways to reach it

| \`spec.redis\` | |
|---|---|
| \`url\`, \`urlFrom\` | One server. \`rediss://\` turns TLS on. The path is the number of the database: \`redis://host:6379/3\`. |
| \`sentinel\` | A master behind Sentinels. After each failover the client asks the Sentinels for the address of the new master. |
| \`cluster\` | A Redis Cluster. Dead letters and queue share the stream's slot (prefix \`bull{TAG}\`), so that one script settles an entry. |
| \`sink.bullmq.redis\` | Another Redis for the queue: another server, another cluster, or another slot of the same cluster. A consumer adds the jobs first, and then acknowledges the entries. If the queue's server has replicas, one of them confirms each batch (\`WAIT\`) before the acknowledgement. |
| \`tls\` | \`caFrom\` for a private authority, \`certFrom\` and \`keyFrom\` for a client certificate, \`serverName\` if the certificate has another name than the address. |

A failover takes back entries, jobs and marks that the old master had not replicated. If one Redis holds all three, it takes
them back together. A producer loses an \`XADD\` that was not replicated, unless it waited for a replica (\`WAIT\`). Every use of Redis has this limit.

If the server lacks the database, or the user lacks \`SELECT\`, the connection fails, at start and after each reconnect. No program
writes to database 0 instead.

## The pipeline's user

Consumers, the operator and the command \`dead\` use the same user. These are its least rights for stream \`ndvi:jobs\` and queue
\`ndvi\`. If it lacks a right, the consumer's log and the pipeline's status name the right, and the rule that grants it.

${setUser(one.stream)}

If the queue is in another Redis, the user needs these rights at the stream's Redis:

${setUser(two.stream)}

and these at the queue's Redis:

${setUser(two.queue ?? [])}

In a cluster, grant these rights on every node, since nodes do not share ACLs:

${setUser(cluster.stream)}

- \`sp:{…}:*\` covers the keys of this project beside the stream. The hash tag is the stream's hash tag, or its whole name if it has
  none. For a queue in another Redis it is \`PREFIX:QUEUE\`, or the hash tag in it.
- A pattern of an ACL may not hold white space. So a rule in a message has \`?\` in its place, which matches any one byte. It also has
  \`?\` in place of quotes, backslashes and invisible characters.
- This project uses no pub/sub channels, so \`resetchannels\` removes no right that it needs.
- Dispatchers and workers need fewer rights. Give them users of their own, as follows.

## A user that only dispatches

Use this user for an application that dispatches in mode Stream. In mode Direct a dispatcher adds jobs itself, and needs the rights of
a consumer.

${setUser(dispatchRules(document(url, {})), 'ndvi-producer')}

The second key holds the mode. Its name has a hash of stream and group. If Redis refuses that key, \`ACL LOG\` shows its name.

If requests may set options (\`sink.bullmq.allow\`), the dispatcher also reads the heartbeats of consumers:

${setUser(dispatchRules(document(url, { allow: { maxDelay: '1h' } })), 'ndvi-producer')}

Such a user can read no entry, and delete none by its id. It has no access to the queue and to dead letters. It can still empty the
stream, or make it refuse further entries, since an ACL rule does not see the arguments of \`XADD\`
([details](tenancy.md#what-a-producer-can-do)).

## A user that only works

Use this user for \`createWorker\`, at the queue's Redis. The first pattern covers the keys of BullMQ's worker. The second pattern covers
the execution locks, which need \`GET\`, \`SET\`, \`DEL\`, \`PEXPIRE\` and \`PTTL\`. The commands cover all features of BullMQ's worker,
among them rate limits, metrics, job schedulers and flows.

${setUser(workerRules(document(url, {})), 'ndvi-worker')}

Such a user has no access to the stream, to dead letters and to other queues.

## References on this machine

A resource refers to Secrets and ConfigMaps. \`up\`, \`status\`, \`dead\` and \`consume\` read them from the folder \`--refs DIR\`: from
the file \`DIR/secret/NAME/KEY\` or \`DIR/configmap/NAME/KEY\`.

- NAME and KEY must have the form that Kubernetes demands.
- The file must be a regular file of at most 1 MiB. It must lie inside DIR, also after symbolic links are resolved.
- The command reports every other file as \`ReferenceMissing\`, with the field that refers to it. So a resource that someone else wrote cannot make the command send a file of yours to a server.
- A value for \`urlFrom\` may be \`unix:///path/of/redis.sock\` here. The operator refuses such a value, since it would open sockets of
  the operator's own pod.

## A connection that the application lends

\`createDispatcher\` and \`createWorker\` take a URL, or a connection of ioredis. They accept the majors 4 to 6, from any installed copy,
and a Cluster too. For a URL the library opens a connection of the ioredis that the application installs, 5.11 or 6. This table
shows what both functions do. *Refused at once* means \`InvalidOption\`, before they send any command on the connection:

| Connection | Result |
|---|---|
| A client of another library, plain options, a URL without \`redis://\` or \`rediss://\` | Refused at once. |
| \`keyPrefix\` | Refused at once: no consumer would find its keys. BullMQ refuses it, too. |
| \`readOnly\`, \`role: 'slave'\`, \`scaleReads\` other than \`master\` | Refused at once. |
| A connection to a replica | The first dispatch and the worker's start fail with \`RedisNotReady\`. |
| An ended connection; a connection in \`MONITOR\` mode, or with a subscription in RESP2 | The first dispatch fails with \`InvalidOption\`. A worker opens a connection of its own. |
| Another database than that of the pipeline | Refused at once if an option names it, else by the first dispatch. With a dispatch configuration there is no check, since it names no database. |
| \`lazyConnect\`, \`enableOfflineQueue: false\`, time limits | Accepted. The first dispatch waits until the connection is ready. |

## Servers that lack commands

Managed services and proxies remove some commands. Each program works without the commands that it does not need. A program refuses to
start if the server lacks a command that the program needs. It names the command, and adds nothing. A
command that such a service removes for clients still works inside scripts.

| Missing | Result |
|---|---|
| \`ACL\`, \`CONFIG\`, \`DEBUG\`, \`FUNCTION\`, \`HELLO\`, \`MEMORY\`, \`SAVE\` and the like | No difference: no program needs them. |
| \`CLIENT\`, or one of its subcommands | Connections have no names. When a consumer stops, it closes the connection of its blocking read, since it cannot wake the read. |
| \`ROLE\` | Consumers find replicas by \`INFO replication\`. |
| \`ROLE\` and \`INFO replication\` | On Split and Portable, consumers report \`ReplicationUnconfirmed\`. They try \`WAIT\` every ten seconds. If a replica answers, they use it for each batch. |
| \`WAIT\` | On Split and Portable, consumers report a warning if there are replicas. \`stream_consumer_unconfirmed_batches_total\` counts the batches. |
| \`SELECT\` | A pipeline can use database 0 only. |
| \`MULTI\`, \`SCRIPT LOAD\` | The portable path refuses to start. The others work. |
| \`TIME\` | Atomic and Split refuse to start, and so does a dispatcher in mode Direct. |
| \`INFO server\`, \`INFO memory\` | Consumers refuse to start: they cannot check version and eviction. |
| \`INFO\` | Every program refuses to start. |

[The three paths](guarantees.md#the-three-paths) explains Atomic, Split and Portable.

## How much a reply may be

A server that a tenant names may send anything. A program that reads replies has bounds for them. It closes the connection with
\`RedisReplyRefused\` if a reply exceeds the bounds, or has a form that Redis does not send. The next attempt opens another connection.

| Reader | Bytes | Values | Depth of lists |
|---|---|---|---|
| The operator, when it observes a pipeline | ${mebibytes(lookLimits.bytes)} | ${lookLimits.items} | ${lookLimits.depth} |
| The operator, when it waits for the first entry of a pipeline at zero | ${mebibytes(wakeLimits.bytes)} | ${wakeLimits.items} | ${wakeLimits.depth} |
| Consumers, dispatchers, workers, the command line | ${mebibytes(workLimits.bytes)} | ${workLimits.items} | ${workLimits.depth} |

An entry that is too large for the second row still wakes its pipeline: the operator then asks for the id alone.

## The owner of a stream

No two pipelines should share both stream and group. So the operator claims stream and group for the pipeline that it serves. The
claim is the field \`owner\` of the pipeline's \`stats\` hash. The operator renews it every half minute.

A second pipeline of the same stream and group shows \`StreamClaimed\`. Its consumers continue to read. But the operator publishes no
mode in Redis for it, makes no group, and keeps no scaling state there.

The second pipeline gets the claim when the first one is deleted, or when no operator has served it for ten minutes. Local runs make no
claim.

## Every command

The pipeline's user needs these commands. A command appears twice if it has a second use. If only one program or path needs a
command, the purpose ends with that program or path. [Words](architecture.md#words) explains ledger, registry, self-test and scratch keys.

| Command | For |
|---|---|
${table.join('\n')}
`
}
