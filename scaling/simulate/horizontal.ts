/**
 * Kubernetes' HorizontalPodAutoscaler with its published defaults (kubernetes.io, "Horizontal Pod Autoscaling": sync period 15 s,
 * tolerance 10 %, scale-down stabilisation 300 s, scale-up by at most 100 % or 4 pods in 15 s, whichever is more, no
 * stabilisation upwards). For the Value of an External metric the HPA multiplies the ratio by the number of ready pods. For an
 * AverageValue the number of ready pods does not matter (replica_calculator.go, getUsageRatioReplicaCount). At zero the HPA stands
 * still. So the number here is never below one, and a baseline that starts at zero is woken.
 */
import type { Bounds } from '../policy.ts'

export const syncSeconds = 15
const tolerance = 0.1
const stabilisationSeconds = 300

interface Horizontal {
  /**
   * @param ratio the measured value divided by the wanted one
   * @param pods the ratio multiplies them
   */
  scale(current: number, ratio: number, pods: number, at: number): number
}

export function createHorizontal(bounds: Bounds): Horizontal {
  const least = Math.max(1, bounds.min)
  let recommendations: { readonly at: number; readonly replicas: number }[] = []
  return {
    scale(current, ratio, pods, at) {
      const from = Math.max(1, current)
      const raw = Math.abs(ratio - 1) <= tolerance ? from : Math.ceil(pods * ratio)
      const wanted = Math.min(bounds.max, Math.max(least, raw))
      // Replicas that it finds at its beginning count as requested.
      if (recommendations.length === 0) recommendations = [{ at, replicas: from }]
      recommendations = [...recommendations.filter((item) => item.at > at - stabilisationSeconds), { at, replicas: wanted }]
      if (wanted > from) return Math.min(wanted, Math.max(2 * from, from + 4))
      const stabilised = Math.max(...recommendations.map((item) => item.replicas))
      return Math.min(from, Math.max(wanted, stabilised))
    },
  }
}
