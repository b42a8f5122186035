/** The administrator's log of looks at Redis that failed. */
import type { Logger } from 'pino'
import type { Observation } from './plan/observed.ts'

type OnLook = (key: string, observation: Observation, tookMs: number) => void

/** Logs for the administrator the reasons that status omits where many teams read it. A reason is logged once until another follows. */
export function recordingReasons(log: Pick<Logger, 'info'>, onLook: OnLook): { onLook: OnLook; forget(key: string): void } {
  const last = new Map<string, string>()
  return {
    onLook(key, observation, tookMs) {
      onLook(key, observation, tookMs)
      if (observation.kind !== 'Failed') return void last.delete(key)
      if (last.get(key) === observation.error.message) return
      last.set(key, observation.error.message)
      log.info({ pipeline: key, code: observation.error.code, detail: observation.error.message }, 'Redis could not be looked at')
    },
    forget: (key) => void last.delete(key),
  }
}
