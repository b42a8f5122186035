/** docs/redis.md: what is asked of a Redis; the rights of a consumer's user come from the table that the consumer checks. */
import { compilePipeline } from '../api/compile.ts'
import { parsePipeline } from '../api/validate.ts'
import { aclRules, dispatchRules, rights } from '../redis/preflight/permissions.ts'
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
  for (const rule of rules.map((text) => (text.startsWith('~') || text.includes('|') ? `'${text}'` : text))) {
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
  Specialised: 'not required',
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

Redis 7.0 or later, or Valkey, with \`maxmemory-policy noeviction\`: an evicted mark is a duplicate, an evicted job a loss. Consumers
check this at start, with the types of all keys and the rights of their user, and say what is wrong by name.

## Ways to reach it

| \`spec.redis\` | |
|---|---|
| \`url\`, \`urlFrom\` | One server; \`rediss://\` for TLS; a path is the number of the database, \`redis://host:6379/3\`. |
| \`sentinel\` | The master is asked for again after each failover. Settled entries, jobs and marks roll back together if the old master had not replicated them; what its producers had not waited for (\`WAIT\`) is lost with it, as anywhere in Redis. |
| \`cluster\` | Dead letters and queue share the stream's slot (prefix \`bull{TAG}\`), so that one script settles an entry. |
| \`sink.bullmq.redis\` | The queue elsewhere: another server, another cluster, or another slot of the same cluster. Jobs go first, and where their server has replicas one of them confirms each batch (\`WAIT\`) before the stream is acknowledged. |
| \`tls\` | \`caFrom\` for a private authority, \`certFrom\` and \`keyFrom\` for a client certificate, \`serverName\` where the certificate has another name than the address. |

A database that the server does not have, or whose \`SELECT\` the user lacks, fails the connection, at start and after each reconnect.
Nothing is ever written to database 0 instead.

## References on this machine

\`up\`, \`dead\` and \`consume\` read the Secrets and ConfigMaps that a resource names from a folder, \`--refs DIR\`: the file
\`DIR/secret/NAME/KEY\` or \`DIR/configmap/NAME/KEY\`. NAME and KEY have the form that Kubernetes demands. The file is a regular one of
at most 1 MiB, and lies inside DIR when symbolic links are resolved. Anything else is \`ReferenceMissing\`, with the field that refers
to it: a resource of somebody else sends no file of yours to its server.

A value for \`urlFrom\` may be \`unix:///path/of/redis.sock\` there. The operator refuses it, since the sockets of its pod are its own.
## How much a reply may be

A server may answer anything. What no Redis sends, and a reply that is larger than its reader may hold, closes the connection with
\`RedisReplyRefused\`; the next attempt makes another one.

| Reader | Bytes | Values | Lists within lists |
|---|---|---|---|
| The operator's looks | ${mebibytes(lookLimits.bytes)} | ${lookLimits.items} | ${lookLimits.depth} |
| The operator's wake-ups | ${mebibytes(wakeLimits.bytes)} | ${wakeLimits.items} | ${wakeLimits.depth} |
| Consumers, dispatchers, workers, the command line | ${mebibytes(workLimits.bytes)} | ${workLimits.items} | ${workLimits.depth} |

An entry that is too large for a wake-up still wakes its pipeline: the operator then asks for ids alone.

## Whose a stream is

The operator claims a stream and group for the pipeline it serves, in the field \`owner\` of the pipeline's \`stats\` hash, and renews that
claim every half minute. A second pipeline of the same stream and group shows \`StreamClaimed\`: its consumers read on, but it
publishes no mode in Redis, makes no group and keeps no scaling state there. The claim passes on when its holder is deleted, or is not
served for ten minutes. Local runs claim nothing.

## Servers that lack commands

Managed services and proxies take some commands away. Each part works without those it can do without; for the others it refuses
to start, before anything is added, and names the command. Scripts run inside the server and are not concerned.

| Lacking | What happens |
|---|---|
| \`ACL\`, \`CONFIG\`, \`DEBUG\`, \`FUNCTION\`, \`HELLO\`, \`MEMORY\`, \`SAVE\` and the like | Nothing: they are not needed. |
| \`CLIENT\`, or one of its subcommands | Connections have no names. A blocking read is cut off at the end rather than woken. |
| \`ROLE\` | \`INFO replication\` is asked for replicas. |
| \`ROLE\` and \`INFO replication\` | Split and Portable: a warning, \`ReplicationUnconfirmed\`; \`WAIT\` is tried every ten seconds, and for each batch once it was answered by a replica. |
| \`WAIT\` | Split and Portable: a warning where there are replicas, and \`stream_consumer_unconfirmed_batches_total\` counts. |
| \`SELECT\` | Only database 0 can be used. |
| \`MULTI\`, \`SCRIPT LOAD\` | The portable path refuses to start; the others work. |
| \`TIME\` | The composed paths, and direct dispatch, refuse to start. |
| \`INFO server\`, \`INFO memory\` | Consumers refuse to start: neither version nor eviction can be judged. |
| \`INFO\` | Everything refuses to start. |

## A connection that the application lends

\`createDispatcher\` and \`createWorker\` take a URL or a connection of ioredis, of any copy and of the majors 4 to 6, a Cluster
too. What cannot be used is refused with \`InvalidOption\` before anything is sent on it:

| Lent | |
|---|---|
| A client of another library, plain options, a URL without \`redis://\` or \`rediss://\` | Refused at once. |
| \`keyPrefix\` | Refused at once: nobody would find what it writes. BullMQ refuses it, too. |
| \`readOnly\`, \`role: 'slave'\`, \`scaleReads\` other than \`master\` | Refused at once. |
| A connection to a replica | The first dispatch and the worker's start fail with \`RedisNotReady\`. |
| Another database than the pipeline names, by its options or selected since | Refused at once, or by the first dispatch. A dispatch configuration names no database. |
| \`lazyConnect\`, \`enableOfflineQueue: false\`, time limits | Works. The first dispatch waits until the connection is ready. |

## The pipeline's user

The least rights of the user that consumers, the operator and \`dead\` share, for stream \`ndvi:jobs\` and queue \`ndvi\`. A right that is missing is named in the consumer's log and
the pipeline's status, with the rule that grants it.

${setUser(one.stream)}

With the queue in another Redis, at the stream's:

${setUser(two.stream)}

and at the queue's:

${setUser(two.queue ?? [])}

In a cluster, on every node (ACLs are not shared):

${setUser(cluster.stream)}

A pattern of an ACL holds no white space. The rule that a message names has \`?\` in its place, which matches any one byte, and in
the place of quotes, backslashes and invisible characters.

The hash tag in \`sp:{…}:*\` is the stream's, or its whole name where it has none; with the queue elsewhere, there the queue's
(\`PREFIX:QUEUE\`). \`resetchannels\` takes nothing away that is used. Applications and workers are users of their own: dispatchers
add to the stream, workers need what BullMQ needs.

## A user that only dispatches

For an application that dispatches in mode Stream, from a pipeline or its dispatch configuration. The second key holds the mode; its name is
made of the stream and the group, and \`ACL LOG\` shows it when it is refused. In mode Direct a dispatcher adds jobs itself and needs the
rights of a consumer.

${setUser(dispatchRules(document(url, {})), 'ndvi-producer')}

Such a user reads no entry, deletes none by id, and touches neither queue nor dead letters. Redis has no rule for arguments: \`XADD\` with
\`MAXLEN 0\` empties the stream, and with the last possible id closes it for everybody
([what follows](tenancy.md#what-a-producer-can-do)).

## Every command

| Command | For |
|---|---|
${table.join('\n')}
`
}
