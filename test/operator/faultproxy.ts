/**
 * A proxy in front of an API server that misbehaves by a seed: cuts connections, stalls and then cuts watches, answers 410, 429 and
 * 500, repeats events, swaps neighbours, delays lists. What it swaps it writes at once, since a reader that resumes after the later
 * of two events rightly never sees the earlier one.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiServer } from '../support/apiserver.ts'
import type { Scope } from '../support/scope.ts'

export interface FaultProxy {
  readonly url: string
  /** Faults end; what is under way is cut once more. */
  calm(): void
  /** Misdeeds by name. */
  readonly done: ReadonlyMap<string, number>
}

export async function startFaultProxy(scope: Scope, server: ApiServer, random: () => number): Promise<FaultProxy> {
  const done = new Map<string, number>()
  let calm = false
  const open = new Set<ServerResponse>()
  const ca = Buffer.from(server.caData, 'base64')
  const did = (what: string) => done.set(what, (done.get(what) ?? 0) + 1)

  function refuse(response: ServerResponse, code: number, reason: string): void {
    did(String(code))
    response.writeHead(code, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: 'as the proxy will' }),
    )
  }

  function pass(incoming: IncomingMessage, response: ServerResponse, isWatch: boolean): void {
    const { method, url: path } = incoming
    const headers = { authorization: `Bearer ${server.token}`, accept: 'application/json' }
    const upstream = request(`${server.url}${path}`, { method, headers, ca }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' })
      if (isWatch) relay(answer, response)
      else answer.pipe(response)
    })
    upstream.on('error', () => response.destroy())
    response.on('close', () => upstream.destroy())
    upstream.end()
  }

  function relay(answer: IncomingMessage, response: ServerResponse): void {
    let rest = ''
    let held: string | undefined
    let silent = false
    response.flushHeaders()
    answer.setEncoding('utf8')
    answer.on('error', () => response.destroy())
    answer.on('end', () => response.end(held ?? ''))
    answer.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) send(`${line}\n`)
    })
    function send(line: string): void {
      if (silent) return
      if (held !== undefined) {
        response.write(line + held)
        held = undefined
        did('swapped')
        return
      }
      const fate = calm || line.includes('BOOKMARK') ? 1 : random()
      if (fate < 0.08) {
        did('cut')
        silent = true
        response.destroy()
      } else if (fate < 0.16) {
        did('stalled')
        silent = true
        setTimeout(() => response.destroy(), 100 + 900 * random())
      } else if (fate < 0.3) {
        did('repeated')
        response.write(line + line)
      } else if (fate < 0.45) held = line
      else response.write(line)
    }
  }

  const proxy = createServer(async (incoming, response) => {
    open.add(response)
    response.on('close', () => open.delete(response))
    const isWatch = new URL(incoming.url ?? '', 'http://x').searchParams.get('watch') === 'true'
    const fate = calm ? 1 : random()
    if (fate < 0.08) return refuse(response, 500, 'InternalError')
    if (fate < 0.16) return refuse(response, 429, 'TooManyRequests')
    if (fate < 0.26 && isWatch) return refuse(response, 410, 'Expired')
    if (fate < 0.32) {
      did('hung up')
      return void response.destroy()
    }
    if (!isWatch && !calm && random() < 0.4) {
      did('slow list')
      await sleep(600 * random())
    }
    pass(incoming, response, isWatch)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const cutAll = () => {
    for (const response of open) response.destroy()
  }
  scope.after(async () => {
    cutAll()
    proxy.closeAllConnections()
    await new Promise((resolve) => proxy.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    calm() {
      calm = true
      cutAll()
    },
    done,
  }
}
