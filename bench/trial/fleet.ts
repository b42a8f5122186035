/** The consumers of a trial: real processes of the command line, replaced when they are killed. */
import { type RunningProcess, startProcess } from '../../test/support/process.ts'
import type { Scope } from '../../test/support/scope.ts'

interface Member {
  readonly name: string
  process: RunningProcess
  /** Stopped by SIGSTOP until then (performance.now), else undefined. */
  stoppedUntil: number | undefined
}

export interface Fleet {
  readonly members: readonly Member[]
  /** Kills it and starts another in its place, under its name or a new one. */
  replace(member: Member, newName: boolean): Promise<void>
  add(): Promise<void>
  /** Processes that ended by themselves. Expected: none. */
  readonly ended: readonly string[]
}

/** @param env added to the environment of each */
export async function startFleet(
  scope: Scope,
  program: string,
  config: string,
  size: number,
  env: Readonly<Record<string, string>> = {},
): Promise<Fleet> {
  const members: Member[] = []
  const ended: string[] = []
  let named = 0

  const start = async (name: string) => {
    const args = [program, 'consume', '--config', config, '--name', name, '--listen', '127.0.0.1:0']
    const process = await startProcess(scope, args, { env })
    void process.exit.then(({ code, signal }) => {
      if (signal === null)
        ended.push(`${name} ended with ${code}:\n${process.stdout().slice(-2_000)}${process.stderr().slice(-2_000)}`)
    })
    return process
  }
  const add = async () => {
    const name = `consumer-${named++}`
    members.push({ name, process: await start(name), stoppedUntil: undefined })
  }
  for (let i = 0; i < size; i++) await add()

  return {
    members,
    ended,
    add,
    async replace(member, newName) {
      await member.process.stop('SIGKILL', 0)
      members.splice(members.indexOf(member), 1)
      if (newName) await add()
      else members.push({ name: member.name, process: await start(member.name), stoppedUntil: undefined })
    },
  }
}
