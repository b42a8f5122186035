import type { Command } from 'commander'
import type { Terminal } from '../terminal.ts'

export function registerCrd(program: Command, terminal: Terminal): void {
  program
    .command('crd')
    .description('print the CustomResourceDefinition, for kubectl apply -f -')
    .action(async () => {
      const [{ crd }, { stringify }] = await Promise.all([import('../../api/crd.ts'), import('yaml')])
      terminal.out(stringify(crd(), { aliasDuplicateObjects: false, lineWidth: 0 }))
    })
}
