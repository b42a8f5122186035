/**
 * Replies that ioredis itself uses before the caller sees them: a cluster's slots, a Sentinel's master, a server's description of
 * itself, a key's new place. ioredis trusts their form, in callbacks whose exceptions no caller catches. It counts from the first
 * given slot to the last.
 */
import type { Reply } from './assembly.ts'

interface Asked {
  readonly name: string
  readonly args: readonly unknown[]
}

const slots = 16_384
/** Of one cluster, replicas included; Redis' own advice ends at a thousand. */
const mostNodes = 4_096
const longestHost = 255
/** Others that watch the same master; deployments have three to seven. */
const mostSentinels = 64

/** Why a reply cannot answer its command. Undefined: it can. */
export function misshapen({ name, args }: Asked, reply: Reply): string | undefined {
  switch (name.toLowerCase()) {
    case 'info':
      return Buffer.isBuffer(reply) ? undefined : 'the reply to INFO is no text'
    case 'cluster':
      return subcommandOf(args) === 'slots' ? slotsProblem(reply) : undefined
    case 'sentinel':
      return sentinelProblem(subcommandOf(args), reply)
    default:
      return undefined
  }
}

const subcommandOf = (args: readonly unknown[]): string => String(args[0]).toLowerCase()

/** ioredis asks all Sentinels named, one after the other, before it gives up. */
function sentinelProblem(subcommand: string, reply: Reply): string | undefined {
  switch (subcommand) {
    case 'get-master-addr-by-name':
      return reply === null || isServer(reply) ? undefined : 'the Sentinel names an invalid address of the master'
    case 'sentinels':
      return Array.isArray(reply) && reply.length <= mostSentinels && reply.every(isFieldList)
        ? undefined
        : `the reply to SENTINEL SENTINELS is no list of at most ${mostSentinels} Sentinels`
    default:
      return undefined
  }
}

const isHost = (host: Reply | undefined): boolean => Buffer.isBuffer(host) && host.length > 0 && host.length <= longestHost

function isServer(reply: Reply): boolean {
  if (!Array.isArray(reply)) return false
  const [host, port] = reply
  return isHost(host) && Buffer.isBuffer(port) && /^\d{1,5}$/.test(String(port)) && isPort(Number(String(port)))
}

/** Names and values in turn, all texts. */
const isFieldList = (reply: Reply): boolean =>
  Array.isArray(reply) && reply.length % 2 === 0 && reply.every((each) => Buffer.isBuffer(each))

function slotsProblem(reply: Reply): string | undefined {
  if (!Array.isArray(reply) || reply.length > slots) return 'the reply to CLUSTER SLOTS is no list of slots'
  let nodes = 0
  for (const range of reply) {
    if (!Array.isArray(range) || !isSlot(range[0]) || !isSlot(range[1])) return 'CLUSTER SLOTS names slots that do not exist'
    nodes += range.length - 2
    if (nodes > mostNodes * 4 || !range.slice(2).every(isNode)) return 'CLUSTER SLOTS names invalid nodes'
  }
  const distinct = new Set(reply.flatMap((range) => (Array.isArray(range) ? range.slice(2).map(nodeName) : [])))
  return distinct.size > mostNodes ? `CLUSTER SLOTS names more than ${mostNodes} nodes` : undefined
}

const isSlot = (value: Reply | undefined): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < slots

const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536

/** A node that does not know its own address leaves it empty, and is passed over. */
function isNode(node: Reply): boolean {
  if (!Array.isArray(node)) return false
  const [host, port] = node
  return (host === null || (Buffer.isBuffer(host) && host.length <= longestHost)) && isPort(port)
}

const nodeName = (node: Reply): string => (Array.isArray(node) ? `${String(node[0])}:${String(node[1])}` : '')

/** Why a redirecting error cannot be followed. Undefined: it can, or it does not redirect. */
export function misdirecting(error: Error): string | undefined {
  if (!/^(?:MOVED|ASK)\b/.test(error.message)) return undefined
  const [, slot, address = ''] = error.message.split(' ')
  const colon = address.lastIndexOf(':')
  const fits =
    isSlot(slot === undefined || !/^\d{1,5}$/.test(slot) ? -1 : Number(slot)) && isPort(Number(address.slice(colon + 1)))
  return fits && colon >= 0 && colon <= longestHost ? undefined : 'it redirects a command to an invalid address'
}
