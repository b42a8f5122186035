/**
 * Waiting for replicas, where the queue's server has any. A failover of the queue's Redis may roll back a job and its mark. The
 * stream's acknowledgement, or the answer to a direct dispatch, must not outlive them. Where one script has job, mark and
 * acknowledgement there is no such window: they share one offset.
 *
 * WAIT waits for all writes of its server up to the last command of its own connection. So it also covers writes of other
 * connections (a duplicate's job), and in a cluster it goes to the node of the keys. While their slot is on its way to another node
 * it asks the old one: a failover in that very moment is not covered.
 *
 * A server forgets a replica that is away, in the very case that WAIT is for. So a replica that was seen once is waited for from
 * then on. Batches fail for a minute. After that they go on unconfirmed, which is reported, until a replica confirms again.
 */
import { failure, type StreamPipelineError } from '../../../api/errors.ts'
import { failureOn, labelOf, type RedisConnection } from '../../connect/connection.ts'
import { nodeOf } from '../../connect/node.ts'
import { canWait, confirmedBy, countReplicas } from './replicas.ts'

/** How long a replica may take to confirm a batch before the batch counts as failed and is tried again. */
const replicationTimeoutMs = 1_000
/** How long batches are tried again when no replica confirms; docs/guarantees.md states it. */
export const unconfirmedPatienceMs = 60_000
/** How often the server is asked for its replicas. */
const watchMs = 10_000

interface ConfirmationListener {
  /** Batches go on, or might go on, without confirmation. `amiss` says why. Undefined: all is well again. */
  changed(amiss: StreamPipelineError | undefined): void
  /** A batch is acknowledged that no replica confirmed, although there is one, or was. */
  unconfirmed(): void
}

export interface Confirmation {
  /** Asks for replicas if that was not done lately. Throws why the server cannot be asked. */
  learn(): Promise<void>
  /** Waits until a replica has what was written last. Throws RedisNotReady when none confirms, and why Redis could not be asked. */
  confirm(): Promise<void>
  /** A present problem is reported at once. */
  listen(listener: ConfirmationListener): void
}

/** The news for listeners; a late one hears a present problem at once. */
function createReports(connection: RedisConnection) {
  const listeners: ConfirmationListener[] = []
  let amiss: StreamPipelineError | undefined
  return {
    say(detail: string | undefined, advice = '') {
      if (amiss?.parameters['detail'] === detail) return
      amiss =
        detail === undefined ? undefined : failure('ReplicationUnconfirmed', { address: labelOf(connection), detail, advice })
      for (const { changed } of listeners) changed(amiss)
    },
    unconfirmed() {
      for (const listener of listeners) listener.unconfirmed()
    },
    listen(listener: ConfirmationListener) {
      listeners.push(listener)
      if (amiss !== undefined) listener.changed(amiss)
    },
  }
}

/** @param key one of those that are written before each `confirm` @param clock milliseconds */
export function createConfirmation(connection: RedisConnection, key: string, clock = () => performance.now()): Confirmation {
  const { say, listen, unconfirmed } = createReports(connection)
  /** As the server says; undefined where it does not. */
  let replicas: number | undefined
  /** A replica has been there since this process started. */
  let seen = false
  let waits = false
  let lookedAt = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | undefined
  let failed: { readonly since: number; readonly last: number } | undefined
  /** Patience has run out: a replica is asked now and then, and the batches do not wait. */
  let resigned = false

  const look = async () => {
    try {
      const node = await nodeOf(connection, key)
      replicas = await countReplicas(node)
      if (replicas !== undefined && replicas > 0) seen = true
      waits ||= await canWait(node)
    } catch (thrown) {
      lookedAt = Number.NEGATIVE_INFINITY
      throw failureOn(connection, thrown)
    }
    if (resigned) return
    if (!waits && (seen || replicas === undefined)) say('it does not take WAIT', allow('WAIT'))
    else if (replicas === undefined && !seen) say('it does not say whether it has replicas', allow('ROLE, or INFO replication'))
    else say(undefined)
  }

  /** Whether the server was asked just now. */
  const watch = async () => {
    const due = clock() - lookedAt >= watchMs
    if (due) {
      lookedAt = clock()
      looking = look()
    }
    await looking
    return due
  }

  const confirmed = () => {
    seen = true
    failed = undefined
    resigned = false
    say(undefined)
  }

  /** None confirmed. Returns once patience has run out. */
  const missed = () => {
    const now = clock()
    // A replica that was unreachable long ago, and was fine when last seen, gets the full time again.
    const isOld = failed === undefined || now - failed.last > unconfirmedPatienceMs
    failed = { since: isOld ? now : (failed?.since ?? now), last: now }
    lookedAt = Number.NEGATIVE_INFINITY
    if (now - failed.since < unconfirmedPatienceMs) {
      const detail = `no replica confirmed the batch within ${replicationTimeoutMs} ms`
      throw failure('RedisNotReady', { address: labelOf(connection), reply: 'WAIT 0', detail })
    }
    resigned = true
    lookedAt = now
    say(`no replica has confirmed anything for ${unconfirmedPatienceMs / 1_000} s`, 'bring a replica back')
  }

  return {
    learn: async () => void (await watch()),
    async confirm() {
      const due = await watch()
      if (!seen && replicas !== undefined) return
      // Where no replica is known, and where none has confirmed for long, waiting each time would cost a second a batch.
      const patient = seen && !resigned
      const asks = waits && (patient || (due && replicas !== 0))
      if (asks && (await confirmedBy(connection, key, replicationTimeoutMs))) return confirmed()
      if (asks && patient) missed()
      if (seen) unconfirmed()
    },
    listen,
  }
}

const allow = (command: string) => `allow ${command}, at the server and at what stands before it`

/** For what need not outlive a failover. */
export const noConfirmation: Confirmation = { learn: async () => {}, confirm: async () => {}, listen() {} }
