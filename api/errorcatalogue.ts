/**
 * The entries of the error catalogue (errors.ts): a stable code, a message, whether another attempt can help, the condition reason, and the
 * remedy. A retired code is never reused.
 */

interface ErrorEntry {
  /** Template; `{name}` is replaced by the parameter of that name. */
  readonly message: string
  /** Retryable: the same call may succeed later. Terminal: a person has to change something first. */
  readonly kind: 'Retryable' | 'Terminal'
  /** Reason (CamelCase) of the Kubernetes condition that shows it. */
  readonly reason: string
  /** The next step for a person; a template, like the message. */
  readonly remedy: string
}

export const errorCatalogue = {
  InvalidPipeline: {
    message: '{subject} is not a valid StreamPipeline: {problems}',
    kind: 'Terminal',
    reason: 'InvalidSpec',
    remedy: 'correct the named fields; `streampipeline validate FILE` checks them without a cluster',
  },
  UnreadableFile: {
    message: 'cannot read {file}: {detail}',
    kind: 'Terminal',
    reason: 'UnreadableFile',
    remedy: 'check that the path is right, and that this user may read the file',
  },
  InvalidOption: {
    message: '{option}: {detail}',
    kind: 'Terminal',
    reason: 'InvalidOption',
    remedy: 'correct the option; --help lists the options of a command, docs/library.md those of the library',
  },
  ReferenceMissing: {
    message: '{kind} {name} (key {key}), which {field} refers to, is missing: {detail}',
    kind: 'Retryable',
    reason: 'ReferenceMissing',
    remedy: 'create the {kind} with that key, or correct {field}',
  },
  InvalidReference: {
    message: 'the value that {field} takes from {kind} {name} (key {key}) cannot be used: {detail}',
    kind: 'Retryable',
    reason: 'InvalidReference',
    remedy: 'correct the value in {kind} {name}',
  },
  ReferenceRefused: {
    message: '{kind} {name} (key {key}), which {field} refers to, may not be used: {detail}',
    kind: 'Retryable',
    reason: 'ReferenceRefused',
    remedy: '{advice}',
  },
  PolicyRefused: {
    message: "the operator's limits refuse {field}: {detail}",
    kind: 'Terminal',
    reason: 'PolicyRefused',
    remedy: 'correct the field, or ask the administrator of the operator to widen {limit}; docs/tenancy.md lists the limits',
  },
  RedisAddressRefused: {
    message: 'the operator may not connect to {host}: {detail}',
    kind: 'Terminal',
    reason: 'RedisAddressRefused',
    remedy:
      'name another Redis, or ask the administrator of the operator to widen its limits on Redis (docs/tenancy.md lists them)',
  },
  RedisUnreachable: {
    message: 'Redis at {address} cannot be reached: {detail}',
    kind: 'Retryable',
    reason: 'RedisUnreachable',
    remedy: 'check the address, that the server runs, and that a NetworkPolicy or firewall lets this process through',
  },
  LocalRedisUnreachable: {
    message: 'Redis at {address} cannot be reached: {detail}',
    kind: 'Retryable',
    reason: 'RedisUnreachable',
    remedy: 'check the address and that the server runs; or add --redis private, which starts a server for this run alone',
  },
  RedisAuthFailed: {
    message: 'Redis at {address} refused the user or password: {detail}',
    kind: 'Retryable',
    reason: 'RedisAuthFailed',
    remedy: 'correct the user and password in the Secrets that spec.redis names',
  },
  RedisTlsFailed: {
    message: 'the TLS handshake with Redis at {address} failed: {detail}',
    kind: 'Retryable',
    reason: 'RedisTlsFailed',
    remedy:
      'check spec.redis.tls: caFrom must hold the CA that signed the server certificate, and serverName must be a name in that certificate',
  },
  RedisPermissionDenied: {
    message: 'the Redis user lacks a right: {detail}',
    kind: 'Retryable',
    reason: 'RedisPermissionDenied',
    remedy: 'grant it with ACL SETUSER; docs/redis.md lists the necessary commands and keys',
  },
  RedisNotReady: {
    message: 'Redis at {address} answers {reply}: {detail}',
    kind: 'Retryable',
    reason: 'RedisNotReady',
    remedy:
      'wait until Redis accepts commands again: entries stay in the stream meanwhile; repeat a failed call; correct an address that is a replica’s',
  },
  RedisOutOfMemory: {
    message: 'Redis at {address} is out of memory: {detail}',
    kind: 'Retryable',
    reason: 'RedisOutOfMemory',
    remedy: 'raise maxmemory or drain the queue; entries stay pending meanwhile',
  },
  RedisUnfit: {
    message: 'Redis at {address} cannot be used: {detail}',
    kind: 'Terminal',
    reason: 'RedisUnfit',
    remedy: '{advice}',
  },
  WrongKeyType: {
    message: 'key {key} holds a {actual}, not a {expected}',
    kind: 'Terminal',
    reason: 'WrongKeyType',
    remedy: 'another program uses this key: choose another name in the spec, or remove the key if it is unused',
  },
  DeadLettersFull: {
    message: 'the dead-letter stream {stream} is full: it holds deadLetter.maxEntries ({maxEntries})',
    kind: 'Retryable',
    reason: 'DeadLettersFull',
    remedy:
      'replay or purge dead letters with `streampipeline dead`, or raise deadLetter.maxEntries; entries that should become dead letters stay pending meanwhile',
  },
  QueueHeld: {
    message: 'the queue takes no jobs: {detail}',
    kind: 'Retryable',
    reason: 'QueueHeld',
    remedy:
      'resume the queue with the program that paused it, or move that program to BullMQ 6; entries stay pending until then, since an older BullMQ loses the jobs that are added during a pause',
  },
  RedisCommandFailed: {
    message: 'Redis refused {command}: {detail}',
    kind: 'Retryable',
    reason: 'RedisCommandFailed',
    remedy: 'read the reply; if the refusal repeats, report it with the version of the server',
  },
  RedisReplyRefused: {
    message: 'the client refused a reply of Redis at {address}, and closed the connection: {detail}',
    kind: 'Retryable',
    reason: 'RedisReplyRefused',
    remedy: 'check that a Redis server, and no other program, listens at that address; docs/redis.md lists the limits of replies',
  },
  StreamClaimed: {
    message: 'group {group} of stream {stream} belongs to the pipeline {owner}',
    kind: 'Retryable',
    reason: 'StreamClaimed',
    remedy:
      'give this pipeline a group of its own in spec.source.group. Until then its consumers go on reading, but the operator neither publishes its mode nor keeps its scaling state in Redis. The claim of the other pipeline ends when that pipeline is deleted, or when no operator serves it for ten minutes',
  },
  ConnectionLimit: {
    message: 'the operator already waits for first entries at {limit} servers of Redis for pipelines of namespace {namespace}',
    kind: 'Retryable',
    reason: 'WakesLate',
    remedy:
      'let pipelines share a server and its user, or move some to another namespace; until then the operator notices the first entry of this pipeline some seconds late',
  },
  LookQuarantined: {
    message: 'the operator has suspended its looks at Redis, since the process for these looks has ended: {detail}',
    kind: 'Retryable',
    reason: 'LookQuarantined',
    remedy:
      'check the servers that spec.redis and sink.bullmq.redis name, and the content of the keys of this pipeline; the operator tries again by itself, at most five minutes later',
  },
  SpecQuarantined: {
    message: 'the operator has suspended its check of the spec, since the process for this check has ended: {detail}',
    kind: 'Retryable',
    reason: 'SpecQuarantined',
    remedy:
      'simplify spec.payload.schema and spec.scaling.schedules; the operator checks the spec again by itself, at most five minutes later, and at once when it changes',
  },
  PayloadRejected: {
    message: 'the payload was refused: {detail}',
    kind: 'Terminal',
    reason: 'PayloadRejected',
    remedy: 'correct the named field, or spec.payload.schema',
  },
  SchemaDiffers: {
    message: 'the schema in code and the schema of the resource differ: {detail}',
    kind: 'Terminal',
    reason: 'SchemaDiffers',
    remedy:
      'consumers use spec.payload.schema: change it, or the schema in code, until both agree; `payloadSchemaOf` exports the one in code',
  },
  OptionRefused: {
    message: 'the option {option} of the request was refused: {detail}',
    kind: 'Terminal',
    reason: 'OptionRefused',
    remedy: 'correct or omit the option, or widen spec.sink.bullmq.allow; docs/migration.md lists the options',
  },
  OptionsNotTaken: {
    message: 'consumer {consumer} would drop the options of the request: {detail}',
    kind: 'Retryable',
    reason: 'OptionsNotTaken',
    remedy:
      'dispatch the request again once every consumer of the group runs this release with spec.sink.bullmq.allow; or dispatch it without options',
  },
  DispatchContended: {
    message: 'another forwarder has held the lock of the idempotency key {key} until the time limit',
    kind: 'Retryable',
    reason: 'DispatchContended',
    remedy: 'dispatch the request again: the lock of a forwarder that died expires after idempotency.lockTTL',
  },
  PortableForwarding: {
    message: 'jobs go into queue {queue} by the portable path: {detail}',
    kind: 'Retryable',
    reason: 'PortableForwarding',
    remedy:
      'no jobs are at risk, but adding takes more round trips and a lock: install a BullMQ whose scripts this release knows; docs/guarantees.md lists these versions, and describes the paths',
  },
  ReplicationUnconfirmed: {
    message: 'jobs at {address} are acknowledged without the confirmation of a replica: {detail}',
    kind: 'Retryable',
    reason: 'ReplicationUnconfirmed',
    remedy: '{advice}; until then a failover of the queue’s Redis may lose acknowledged jobs',
  },
  Closed: {
    message: 'the {what} was closed',
    kind: 'Terminal',
    reason: 'Closed',
    remedy: 'create a new {what}; close it only after its last use',
  },
  ListenerFailed: {
    message: 'a listener of the worker’s event {event} failed: {detail}',
    kind: 'Terminal',
    reason: 'ListenerFailed',
    remedy: 'correct the function that was given to worker.on; the job is not affected',
  },
  HandlerMissing: {
    message: 'the worker has no handler for jobs named {name}; it has {known}',
    kind: 'Retryable',
    reason: 'HandlerMissing',
    remedy: 'deploy a worker with that handler, or with one named `*`; until its attempts end, BullMQ tries the job again',
  },
  ExecutionLockLost: {
    message: 'the execution lock of job {job} was lost while it ran',
    kind: 'Retryable',
    reason: 'ExecutionLockLost',
    remedy: 'the job runs again elsewhere; make the handler stop on its AbortSignal, or raise lockTtlMs of the worker',
  },
  KubernetesUnreachable: {
    message: 'the Kubernetes API server cannot be reached: {detail}',
    kind: 'Retryable',
    reason: 'KubernetesUnreachable',
    remedy: 'check the kubeconfig and the network; the operator goes on by itself when the API server answers',
  },
  KubernetesForbidden: {
    message: 'the Kubernetes API server forbids the request: {detail}',
    kind: 'Retryable',
    reason: 'Forbidden',
    remedy: 'add the verb to the Role of the ServiceAccount named; the chart has the complete Role',
  },
  KubernetesRefused: {
    message: 'the Kubernetes API server refused {operation}: {detail}',
    kind: 'Retryable',
    reason: 'ApplyFailed',
    remedy: 'read the answer: quotas and admission policies name the change that they require',
  },
  ConsumerMisspelt: {
    message: 'no pods can be made from spec.consumer: {detail}',
    kind: 'Terminal',
    reason: 'InvalidSpec',
    remedy:
      'correct the field in spec.consumer; the path is that of the Deployment, whose spec.template.spec holds the fields of spec.consumer',
  },
  ConsumerInvalid: {
    message: 'the Kubernetes API server refused {operation}: {detail}',
    kind: 'Terminal',
    reason: 'ApplyFailed',
    remedy: 'read the answer: it names fields of the Deployment; correct the same ones in spec.consumer',
  },
  KubernetesUnauthorized: {
    message: 'the Kubernetes API server does not accept the credentials: {detail}',
    kind: 'Retryable',
    reason: 'Unauthorized',
    remedy: 'check the kubeconfig or the ServiceAccount token; the operator picks up a renewed token by itself',
  },
  KubernetesNotFound: {
    message: '{subject} does not exist: {detail}',
    kind: 'Retryable',
    reason: 'NotFound',
    remedy: 'create it, or install the CustomResourceDefinition that defines its kind',
  },
  KubernetesConflict: {
    message: 'another writer changed {subject} at the same time: {detail}',
    kind: 'Retryable',
    reason: 'Conflict',
    remedy: 'no action is needed: the operator reads it again and retries',
  },
  KubernetesExpired: {
    message: 'the Kubernetes API server no longer has the requested version: {detail}',
    kind: 'Retryable',
    reason: 'Expired',
    remedy: 'no action is needed: the operator reads the list again',
  },
  KubernetesBusy: {
    message: 'the Kubernetes API server is busy: {detail}',
    kind: 'Retryable',
    reason: 'ApiServerBusy',
    remedy:
      'no action is needed at first: the operator retries. If it lasts, read the answer (an admission webhook may be failing), and check API Priority and Fairness and the load of the API server',
  },
  NamespaceTerminating: {
    message: 'the Kubernetes API server refused {operation}, since the namespace is being deleted: {detail}',
    kind: 'Retryable',
    reason: 'NamespaceTerminating',
    remedy:
      'no action is needed: the pipeline is deleted with its namespace; create it in another namespace if it is still wanted',
  },
  SchemaOutdated: {
    message: 'the CustomResourceDefinition in the cluster is older than this operator and lacks {fields}',
    kind: 'Terminal',
    reason: 'SchemaOutdated',
    remedy:
      'install the definition of this release: `streampipeline crd | kubectl apply --server-side -f -`, or upgrade the chart with crds.enabled',
  },
  NameTaken: {
    message: '{kind} {name} exists and belongs to {owner}, not to this pipeline',
    kind: 'Retryable',
    reason: 'NameTaken',
    remedy: 'rename the pipeline, or delete or rename that {kind}; the operator never takes it over',
  },
  BeingDeleted: {
    message: '{kind} {name} is being deleted',
    kind: 'Retryable',
    reason: 'BeingDeleted',
    remedy: 'no action is needed: the operator creates it again after the deletion; if it stays, check its finalizers',
  },
  Contended: {
    message: 'another operator of StreamPipelines repeatedly changes {kind} {name} back',
    kind: 'Retryable',
    reason: 'Contended',
    remedy: 'let one operator serve this namespace: correct --namespaces of one, or uninstall it',
  },
  ReplicasContended: {
    message: '{writer} repeatedly changes spec.replicas of {kind} {name} back; the operator leaves it as it is',
    kind: 'Retryable',
    reason: 'Contended',
    remedy: '{advice}',
  },
  FieldsContended: {
    message: '{writer} repeatedly changes {kind} {name} back; the operator leaves it as it is',
    kind: 'Retryable',
    reason: 'Contended',
    remedy:
      'stop that writer from changing this {kind}, and set the wanted values in spec.consumer; as long as that writer has to change this {kind}, annotate the StreamPipeline with streampipeline.dev/reconcile: disabled',
  },
  RedisServerMissing: {
    message: 'no redis-server program was found: {detail}',
    kind: 'Terminal',
    reason: 'RedisServerMissing',
    remedy: 'install one ({command}) or name a server in spec.redis.url and leave --redis private out',
  },
  ConsumerRefused: {
    message: 'consumers cannot run: {detail}',
    kind: 'Terminal',
    reason: 'ConsumerRefused',
    remedy: '{advice}',
  },
  Internal: {
    message: 'internal error: {detail}',
    kind: 'Retryable',
    reason: 'InternalError',
    remedy: 'this is a bug in StreamPipeline: report it with the log lines around it',
  },
} as const satisfies Record<string, ErrorEntry>
