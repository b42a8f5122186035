/**
 * Ends the processes of a run that cannot do so itself. If the run is killed (SIGKILL, out of memory), the pipe to this guard
 * closes. The guard then asks the processes to stop, and kills them after their time.
 *
 * It is a shell: small, and started at once. A redis-server watches no pipe itself. The shell has a session of its own, which
 * neither the terminal's Ctrl-C nor a signal to the run's group reaches.
 */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Guard {
  watch(pid: number): void
  /** It has ended: the system may give its number to another process. */
  leave(pid: number): void
  /** Ends the guard. The processes that it watches go on. Idempotent. */
  stop(): Promise<void>
}

/** $1: how many tenths of a second they have; 0: none, not even to be asked. */
const script = `
trap '' HUP INT TERM
pids=' '
while read -r verb pid; do
  case $verb in
    watch) pids="$pids$pid " ;;
    leave) case $pids in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
tries=0
if [ "$1" -gt 0 ]; then
  for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
  while [ $tries -lt "$1" ]; do
    running=
    for pid in $pids; do kill -0 "$pid" 2>/dev/null && running=1; done
    [ -z "$running" ] && exit 0
    sleep 0.1
    tries=$((tries + 1))
  done
fi
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
exit 0
`

/** A shell that ends again and again cannot be relied on. */
const mostReplaced = 10

/** @param graceMs time for orphaned processes to stop; 0 kills them at once, where none of their data outlives them */
export function startGuard(graceMs: number): Guard {
  const watched = new Set<number>()
  let stopping = false
  let replaced = 0
  let shell = begin()
  let ended = followed(shell)

  function begin(): ChildProcess {
    const args = ['-c', script, 'streampipeline-guard', String(Math.round(graceMs / 100))]
    return spawn('/bin/sh', args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' })
  }

  /** A killed guard is replaced. One that cannot be started is left out. */
  function followed(guard: ChildProcess): Promise<void> {
    guard.stdin?.on('error', () => undefined) // it has ended, which 'close' reports
    return new Promise((resolve) => {
      guard.once('error', () => resolve())
      guard.once('close', () => {
        resolve()
        if (stopping || guard.pid === undefined || ++replaced > mostReplaced) return
        shell = begin()
        ended = followed(shell)
        for (const pid of watched) send('watch', pid)
      })
    })
  }

  function send(verb: 'watch' | 'leave', pid: number): void {
    if (shell.stdin?.writable === true) shell.stdin.write(`${verb} ${pid}\n`)
  }

  return {
    watch(pid) {
      watched.add(pid)
      send('watch', pid)
    },
    leave(pid) {
      if (watched.delete(pid)) send('leave', pid)
    },
    async stop() {
      stopping = true
      for (const pid of [...watched]) this.leave(pid)
      shell.stdin?.end()
      await ended
    },
  }
}
