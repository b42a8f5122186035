/** A proxy before Redis that can swallow the reply of a read: Redis has executed XREADGROUP, and its connection breaks before the reply arrives. */
import { connect, createServer, type Socket } from 'node:net'
import { createSplitter } from '../scenarios/crash/commands.ts'
import type { Scope } from '../support/scope.ts'

/** How much of the reply still arrives. */
export type Remnant = 'nothing' | 'half'

export interface CuttingProxy {
  readonly port: number
  /** Breaks the connection under the next read that brings entries; resolves with the ids in its reply when it has. */
  cutNextRead(remnant: Remnant): Promise<readonly string[]>
}

export async function startCuttingProxy(scope: Scope, target: number): Promise<CuttingProxy> {
  let armed: { readonly remnant: Remnant; readonly cut: (ids: readonly string[]) => void } | undefined
  const sockets = new Set<Socket>()
  let closing = false
  const server = createServer((client) => {
    if (closing) return void client.destroy()
    const upstream = connect({ host: '127.0.0.1', port: target })
    const splitter = createSplitter()
    let reading = false
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      // The other half of a connection that was broken on purpose.
      socket.on('error', () => undefined)
      socket.once('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (chunk: Buffer) => {
      for (const { name } of splitter.push(chunk)) reading = name === 'XREADGROUP'
      upstream.write(chunk)
    })
    upstream.on('data', (chunk: Buffer) => {
      // {stream: entries}; the end of a block without any is null.
      const entries = reading ? chunk.indexOf('%1\r\n') : -1
      if (armed === undefined || entries === -1) return void client.write(chunk)
      const { remnant, cut } = armed
      armed = undefined
      const arrives = remnant === 'half' ? Math.floor((entries + chunk.length) / 2) : entries
      const broken = () => {
        client.destroy()
        cut([...chunk.toString('latin1', entries).matchAll(/\r\n(\d+-\d+)\r\n/g)].map(([, id = '']) => id))
      }
      if (arrives === 0) broken()
      else client.write(chunk.subarray(0, arrives), broken)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scope.after(async () => {
    closing = true
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    cutNextRead: async (remnant) =>
      await new Promise<readonly string[]>((cut) => {
        armed = { remnant, cut }
      }),
  }
}
