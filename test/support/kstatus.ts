/** The rules of kstatus for custom resources (sigs.k8s.io/cli-utils), by which `helm --wait` and Flux judge. */
interface Judged {
  readonly metadata: { readonly generation?: number; readonly deletionTimestamp?: string }
  readonly status?: {
    readonly observedGeneration?: number | undefined
    readonly conditions?: readonly { readonly type: string; readonly status: string }[] | undefined
  }
}

export type Kstatus = 'InProgress' | 'Failed' | 'Current' | 'Terminating'

export function kstatusOf({ metadata, status = {} }: Judged): Kstatus {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating'
  if (status.observedGeneration !== undefined && status.observedGeneration !== metadata.generation) return 'InProgress'
  const is = (type: string, value: string) =>
    status.conditions?.some((each) => each.type === type && each.status === value) === true
  if (is('Reconciling', 'True')) return 'InProgress'
  if (is('Stalled', 'True')) return 'Failed'
  if (is('Ready', 'False') || is('Ready', 'Unknown')) return 'InProgress'
  return 'Current'
}
