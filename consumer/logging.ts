/**
 * The consumer's log: structured lines on stdout, constant messages, data in fields. A batch is logged at debug, a dead letter at
 * warn; payload appears nowhere.
 */
import type { Logger } from 'pino'
import type { ConsumerObserver } from './parts.ts'
import { createRetentionLog } from './retentionlog.ts'
import type { ConsumerState } from './states.ts'

/** @param source what the consumer reads */
export function createLogObserver(log: Logger, { stream, group }: { stream: string; group: string }): ConsumerObserver {
  const logRetention = createRetentionLog(log, stream, group)
  let foreignLogged = ''
  return {
    stateChanged: (state, previous) => logState(log, state, previous),
    pathChosen(path, fallback, add) {
      if (fallback === undefined) log.info({ path, add: add?.way }, 'forward path chosen')
      else log.warn({ path, fallback }, 'fell back to the portable forward path')
      if (add?.why !== undefined) log.warn({ reason: add.why }, 'jobs are added by BullMQ’s own script, one by one')
    },
    confirmationChanged(amiss) {
      if (amiss === undefined) log.info('replicas confirm again')
      else log.warn({ code: amiss.code, remedy: amiss.remedy }, amiss.message)
    },
    // One line at the change says it; a line per batch would drown the rest.
    unconfirmed() {},
    groupMade(outcome) {
      if (outcome.kind === 'recreated') log.warn({ start: outcome.start }, 'the consumer group was gone and has been made again')
      else if (outcome.kind === 'created') log.info({ start: outcome.start }, 'consumer group made')
    },
    batchSettled(report) {
      log.debug({ entries: report.entries, ...report.outcomes, durationMs: Math.round(report.durationMs) }, 'batch settled')
      if (report.withheld) log.warn({ entries: report.withheld }, 'the dead-letter stream is full; entries stay pending')
      for (const { id, reason, error } of report.dead) log.warn({ entry: id, reason, error }, 'dead letter')
    },
    reclaimed({ claimed, trimmed, exhausted }) {
      if (claimed > 0) log.debug({ claimed }, 'entries reclaimed')
      if (trimmed > 0) log.warn({ trimmed, reason: 'Trimmed' }, 'pending entries had been trimmed; their ids are dead letters')
      for (const entry of exhausted) log.warn({ entry, reason: 'MaxDeliveries' }, 'dead letter')
    },
    heartbeatSent() {},
    maintained({ removed, kept, foreign, ...retained }) {
      logRetention(retained)
      if (foreign !== undefined && foreign.message !== foreignLogged) {
        log.warn({ code: foreign.code, remedy: foreign.remedy }, foreign.message)
        foreignLogged = foreign.message
      }
      if (removed + kept > 0) log.warn({ removed, kept, reason: 'JobFailed' }, 'failed jobs became dead letters')
    },
    handedBack: (handedBack, retired, totals) => log.info({ handedBack, retired, ...totals }, 'left the group'),
  }
}

function logState(log: Logger, state: ConsumerState, previous: ConsumerState) {
  switch (state.kind) {
    case 'Starting':
      if (state.failure) log.warn({ code: state.failure.code, remedy: state.failure.remedy }, state.failure.message)
      return
    case 'BackendDown':
      if (previous.kind === 'BackendDown') return
      log.warn({ code: state.failure.code, remedy: state.failure.remedy, failures: state.failures }, state.failure.message)
      return
    case 'Running':
      if (previous.kind !== 'Running') log.info({ after: previous.kind }, 'running')
      return
    case 'Backpressured':
      if (previous.kind !== 'Backpressured')
        log.info({ state: state.kind, waiting: state.waiting }, 'the queue is full; reading stops until it drains')
      return
    case 'Draining':
      log.info('draining')
      return
    case 'Stopped':
      log.info({ clean: state.clean }, 'stopped')
      return
    default:
      state satisfies never
  }
}
