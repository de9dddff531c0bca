import type { Command } from '../shared/command-line/index.ts';
import { installationOption, sharedOption } from '../shared/options.ts';

export const rewrite: Command = {
  name: 'rewrite',
  summary: 'print manifests with their images replaced by copies',
  description:
    'Reads YAML or JSON, copies what the backup does not have, and prints the same text with the copies in place of the images: what the webhook would have stored, with comments, order and quotes as they were. Also a Helm post-renderer and a KRM function (ResourceList). Nothing is printed or written if one object is refused. What only the cluster knows does not count: pull secrets of ServiceAccounts, annotations of namespaces.',
  operands: [
    {
      name: 'FILE',
      summary: 'of manifests; - or none reads standard input',
      isOptional: true,
      isRepeated: true,
    },
  ],
  options: {
    'in-place': { type: 'switch', summary: 'write the files instead of printing them' },
    'no-copy': { type: 'switch', summary: 'refuse images that the backup does not have' },
    check: {
      type: 'switch',
      summary: 'print nothing of the manifests; fail if the backup lacks an image of them',
    },
    namespace: {
      type: 'text',
      value: 'NAMESPACE',
      summary: 'of objects that name none (default: default)',
    },
    shared: sharedOption,
    installation: installationOption,
  },
  exitCodes: { 1: 'an object was refused, or the backup lacks an image; nothing was written' },
  examples: [
    {
      command: 'image-cloner rewrite deployment.yaml | kubectl apply -f -',
      explanation: 'one file',
    },
    { command: 'image-cloner rewrite --check manifests/*.yaml', explanation: 'in CI' },
    {
      command: 'image-cloner rewrite --namespace shop < rendered.yaml',
      explanation: 'what helm template has rendered',
    },
  ],
  findProblems: ({ positionals, switches }) => [
    ...(switches.has('in-place') && (positionals.length === 0 || positionals.includes('-'))
      ? ['--in-place needs files']
      : []),
    ...(switches.has('in-place') && switches.has('check') ? ['--check writes nothing'] : []),
  ],
  run: async (args) => (await import('./rewrite.ts')).rewrite(args),
};
