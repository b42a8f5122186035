/** The consumer that is killed: a real process, or one in this process whose wire is cut. Redis sees no difference. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Assembly, assemble } from './assemble.ts'

export interface Victim {
  /** SIGKILL, or as good as. Resolves when it is gone. */
  kill(): Promise<void>
  /** Asks it to drain; resolves when it has ended, or rejects with why it did not end well. */
  drain(): Promise<void>
}

export interface Victims {
  start(assembly: Assembly): Promise<Victim>
  close(): Promise<void>
}

/** Real processes; the next one loads its modules while the last one works. */
export function processVictims(): Victims {
  const file = fileURLToPath(new URL('./child.ts', import.meta.url))
  const spawn = () => {
    const child = fork(file, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let reported = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      reported += text
    })
    const ended = once(child, 'exit')
    return { child, ended, ready: once(child, 'message'), reported: () => reported }
  }
  let next: ReturnType<typeof spawn> | undefined
  const end = async (child: ChildProcess, ended: Promise<unknown>) => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
  }
  return {
    async start(assembly) {
      const { child, ended, ready, reported } = next ?? spawn()
      await ready
      next = spawn()
      child.send(assembly)
      return {
        kill: async () => await end(child, ended),
        async drain() {
          child.kill('SIGTERM')
          await ended
          if (child.exitCode !== 0)
            throw new Error(`the consumer ended with ${child.exitCode ?? child.signalCode}: ${reported()}`)
        },
      }
    },
    async close() {
      if (next !== undefined) await end(next.child, next.ended)
      next = undefined
    },
  }
}

/** In this process: quick, and the same for Redis once the wire is cut. */
export function insideVictims(): Victims {
  return {
    async start(assembly) {
      let fault: unknown
      let killed = false
      const { consumer, sever } = assemble(assembly, (thrown) => {
        fault ??= thrown
      })
      const starting = consumer.start().catch((thrown: unknown) => {
        if (!killed) fault ??= thrown
      })
      return {
        async kill() {
          killed = true
          sever()
          await consumer.stop(performance.now())
          await starting
        },
        async drain() {
          await starting
          await consumer.stop(performance.now() + 2_000)
          if (fault !== undefined) throw fault
        },
      }
    },
    close: async () => {},
  }
}
