/**
 * The rules of NetworkPolicy, as a network plugin that enforces them decides. Here none does. A plugin sees pods and their ports: a Service is
 * resolved before. https://kubernetes.io/docs/concepts/services-networking/network-policies/
 */
import { BlockList, isIP } from 'node:net'
import type { KubernetesObject } from '../../../operator/kubernetes/objects.ts'

type Labels = Readonly<Record<string, string>>

export interface Pod {
  readonly namespace: string
  readonly labels: Labels
  /** By name. */
  readonly ports?: Readonly<Record<string, number>>
}

/** Beyond the cluster's pods: another machine, or a node with its API server. */
export interface Outside {
  readonly ip: string
}

type Place = Pod | Outside

export interface Port {
  readonly port: number
  readonly protocol: 'TCP' | 'UDP'
}

interface Selector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

interface Peer {
  readonly podSelector?: Selector
  readonly namespaceSelector?: Selector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

interface PolicyPort {
  readonly port?: number | string
  readonly endPort?: number
  readonly protocol?: string
}

interface Rule {
  readonly from?: readonly Peer[]
  readonly to?: readonly Peer[]
  readonly ports?: readonly PolicyPort[]
}

interface PolicySpec {
  readonly podSelector?: Selector
  readonly policyTypes?: readonly string[]
  readonly ingress?: readonly Rule[]
  readonly egress?: readonly Rule[]
}

export type Policy = Pick<KubernetesObject, 'metadata'> & { readonly spec?: unknown }

export interface Network {
  readonly policies: readonly Policy[]
  /** Of namespaces, beside their names. */
  readonly namespaces?: Readonly<Record<string, Labels>>
}

export type Verdict = 'Allowed' | 'DeniedByEgress' | 'DeniedByIngress'

/** Whether a connection comes about. Both ends must allow it. */
export function connection(network: Network, from: Place, to: Place, port: Port): Verdict {
  if (!passes(network, 'Egress', from, to, to, port)) return 'DeniedByEgress'
  return passes(network, 'Ingress', to, from, to, port) ? 'Allowed' : 'DeniedByIngress'
}

const isPod = (place: Place): place is Pod => 'labels' in place

/** Policies add up: a pod that none selects is open, and one allowing rule is enough. */
function passes(
  network: Network,
  direction: 'Ingress' | 'Egress',
  subject: Place,
  other: Place,
  target: Place,
  port: Port,
): boolean {
  if (!isPod(subject)) return true
  const specs = network.policies
    .filter(({ metadata }) => metadata.namespace === subject.namespace)
    .map(({ spec }) => spec as PolicySpec)
    .filter(({ podSelector = {} }) => selects(podSelector, subject.labels))
    .filter((spec) => typesOf(spec).includes(direction))
  if (specs.length === 0) return true
  const rules = specs.flatMap(({ ingress = [], egress = [] }) => (direction === 'Ingress' ? ingress : egress))
  return rules.some(({ from = [], to = [], ports = [] }) => {
    const peers = direction === 'Ingress' ? from : to
    const isPeer = peers.length === 0 || peers.some((peer) => fits(network, peer, other, subject.namespace))
    return isPeer && (ports.length === 0 || ports.some((each) => covers(each, target, port)))
  })
}

const typesOf = ({ policyTypes, egress }: PolicySpec): readonly string[] =>
  policyTypes ?? (egress === undefined ? ['Ingress'] : ['Ingress', 'Egress'])

function fits({ namespaces = {} }: Network, peer: Peer, place: Place, own: string): boolean {
  if (peer.ipBlock !== undefined) return !isPod(place) && inBlock(peer.ipBlock, place.ip)
  if (!isPod(place)) return false
  const labels = { ...namespaces[place.namespace], 'kubernetes.io/metadata.name': place.namespace }
  const isThere = peer.namespaceSelector === undefined ? place.namespace === own : selects(peer.namespaceSelector, labels)
  return isThere && selects(peer.podSelector ?? {}, place.labels)
}

/** Plugins differ on whether an ipBlock covers addresses of pods. Here it never does. */
function inBlock({ cidr, except = [] }: NonNullable<Peer['ipBlock']>, ip: string): boolean {
  const family = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')
  const within = (range: string) => {
    const [network = '', bits = ''] = range.split('/')
    const block = new BlockList()
    block.addSubnet(network, Number(bits), family(network))
    return block.check(ip, family(ip))
  }
  return within(cidr) && !except.some(within)
}

function covers({ port, endPort, protocol = 'TCP' }: PolicyPort, target: Place, asked: Port): boolean {
  if (protocol !== asked.protocol) return false
  if (port === undefined) return true
  if (typeof port === 'string') return isPod(target) && target.ports?.[port] === asked.port
  return asked.port >= port && asked.port <= (endPort ?? port)
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key]
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value)
        case 'NotIn':
          return value === undefined || !values.includes(value)
        case 'Exists':
          return value !== undefined
        case 'DoesNotExist':
          return value === undefined
        default:
          throw new Error(`no operator of a selector: ${operator}`)
      }
    })
  )
}
