import type { Command } from '../shared/command-line/index.ts';
import { installationOption, sharedOption } from '../shared/options.ts';

export const clone: Command = {
  name: 'clone',
  summary: 'copy images into the backup',
  description:
    "Copies images by hand or in advance, as the webhook would. Reads the webhook's variables (REGISTRY, REGISTRY_NAMESPACE, REGISTRY_AUTH_DIR, …), or your docker login for the backup.",
  operands: [
    {
      name: 'IMAGE',
      summary: 'as in a manifest, such as nginx:1.27; - reads names from standard input',
      isRepeated: true,
    },
  ],
  options: {
    'dry-run': { type: 'switch', summary: 'only check what would be copied' },
    shared: sharedOption,
    installation: installationOption,
  },
  exitCodes: {
    0: 'the backup holds every image',
    1: 'an image could not be copied; the others were',
  },
  examples: [
    { command: 'image-cloner clone nginx:1.27 ghcr.io/acme/web:2', explanation: 'copy two images' },
    {
      command: 'image-cloner clone --dry-run - < images.txt',
      explanation: 'check a list, one name per line',
    },
  ],
  run: async (args) => (await import('./clone.ts')).clone(args),
};
