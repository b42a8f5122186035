/**
 * `redis://redis:6379` means the Service `redis` beside the pipeline: that is what the consumers' resolver makes of it. The operator
 * runs in another namespace, where the same name would be another Service or none, so it asks for the one the consumers mean.
 */
import type { RedisAddress } from '../redis/connect/references.ts'

export type Locate = (namespace: string, address: RedisAddress) => RedisAddress

/** @param namespace the pipeline's */
export function asSeenFrom(namespace: string, address: RedisAddress): RedisAddress {
  const there = (host: string) => (isBare(host) ? `${host}.${namespace}.svc` : host)
  switch (address.kind) {
    case 'Server': {
      const { host, tls } = address
      // The certificate is made out for the name the user wrote.
      const kept = tls === undefined || !isBare(host) ? {} : { tls: { ...tls, serverName: tls.serverName ?? host } }
      return { ...address, host: there(host), ...kept }
    }
    case 'Sentinel':
    case 'Cluster':
      return { ...address, nodes: address.nodes.map((node) => ({ ...node, host: there(node.host) })) }
    default:
      return address satisfies never
  }
}

/** One label: neither a name with dots, nor an address, nor this machine. */
export const isBare = (host: string): boolean => !/[.:]/.test(host) && host.toLowerCase() !== 'localhost'
