import type { Command } from 'commander'

export function registerCrd(program: Command): void {
  program
    .command('crd')
    .description('print the CustomResourceDefinition, for kubectl apply -f -')
    .action(async () => {
      const [{ crd }, { stringify }] = await Promise.all([import('../../api/crd.ts'), import('yaml')])
      process.stdout.write(stringify(crd(), { aliasDuplicateObjects: false, lineWidth: 0 }))
    })
}
