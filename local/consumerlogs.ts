/**
 * The output of consumers. Each line goes to a file of its consumer, and one line has the address of its metrics. Files are
 * bounded, since a run may last for days at level Debug.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

interface ConsumerLogs {
  readonly folder: string
  line(name: string, text: string): void
  close(): Promise<void>
}

const mostBytes = 16 * 1024 * 1024

interface LogFile {
  readonly stream: WriteStream
  bytes: number
}

/** @param onMetrics called with the address at which a started consumer serves its metrics */
export async function openConsumerLogs(
  within: string,
  onMetrics: (name: string, url: string) => void,
  most: number = mostBytes,
): Promise<ConsumerLogs> {
  const folder = join(within, 'logs')
  await mkdir(folder, { mode: 0o700 })
  const files = new Map<string, LogFile>()

  const fileOf = (name: string): LogFile => {
    const known = files.get(name)
    if (known !== undefined) return known
    const stream = createWriteStream(join(folder, `${name}.log`), { flags: 'a', mode: 0o600 })
    // A full disk must not end the run. The consumer's last lines are in memory as well (child.ts).
    stream.on('error', () => undefined)
    const file = { stream, bytes: 0 }
    files.set(name, file)
    return file
  }

  return {
    folder,
    line(name, text) {
      const file = fileOf(name)
      const bytes = Buffer.byteLength(text) + 1
      if (file.bytes > most) return
      file.bytes += bytes
      file.stream.write(file.bytes > most ? 'this file is full; further lines are left out\n' : `${text}\n`)
      const port = portIn(text)
      if (port !== undefined) onMetrics(name, `http://127.0.0.1:${port}/metrics`)
    },
    async close() {
      await Promise.all([...files.values()].map(({ stream }) => ended(stream)))
      files.clear()
    },
  }
}

async function ended(stream: WriteStream): Promise<void> {
  await new Promise<void>((resolve) => {
    stream.once('close', () => resolve())
    stream.end(() => resolve())
  })
}

/** A consumer logs its port once, when it starts. */
function portIn(line: string): number | undefined {
  if (!line.startsWith('{') || !line.includes('"consumer starts"')) return undefined
  try {
    const entry: Partial<Record<string, unknown>> = JSON.parse(line)
    return entry['msg'] === 'consumer starts' && typeof entry['port'] === 'number' ? entry['port'] : undefined
  } catch {
    return undefined // no JSON after all
  }
}
