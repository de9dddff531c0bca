import type { Command, Operand } from '../shared/command-line/index.ts';
import { installationOption, jsonOption } from '../shared/options.ts';

const image: Operand = {
  name: 'IMAGE',
  summary: 'by the name of its source or of its backup, such as nginx:1.27',
};
const variables =
  "Reads the webhook's variables (REGISTRY, REGISTRY_NAMESPACE, REGISTRY_AUTH_DIR, …), or your docker login for the backup.";

export const generations: Command = {
  name: 'generations',
  summary: 'list the older copies of a tag',
  description: `When a tag moves at its source, the backup keeps what it held before as a generation. ${variables}`,
  operands: [image],
  options: { json: jsonOption, installation: installationOption },
  exitCodes: { 1: 'the backup has no generation of the image, or it did not answer' },
  examples: [
    { command: 'image-cloner generations nginx:1.27', explanation: 'digests, the newest first' },
    {
      command: 'image-cloner generations --json nginx:1.27 | jq -r .generations[].digest',
      explanation: 'for a script',
    },
  ],
  run: async (args) => (await import('./run.ts')).runGenerations(args),
};

export const rollback: Command = {
  name: 'rollback',
  summary: 'move a tag of the backup to an older generation, and hold it there',
  description: `Moves the tag in the backup and holds it: reviews do not move it until --release. Running pods keep the image that they have. ${variables}`,
  operands: [
    image,
    {
      name: 'DIGEST',
      summary: 'of a generation; its first 12 digits are enough',
      isOptional: true,
    },
  ],
  options: {
    release: {
      type: 'switch',
      summary: 'end the hold, in place of DIGEST: the tag follows its source',
    },
    installation: installationOption,
  },
  examples: [
    {
      command: 'image-cloner rollback nginx:1.27 sha256:0123456789ab',
      explanation: 'DIGEST as "generations" lists it',
    },
    {
      command: 'image-cloner rollback nginx:1.27 --release',
      explanation: 'follow the source again',
    },
  ],
  findProblems: ({ positionals, switches }) =>
    (positionals.length === 2) === switches.has('release') ? ['name DIGEST or --release'] : [],
  run: async (args) => (await import('./run.ts')).runRollbackOrRelease(args),
};

export const prune: Command = {
  name: 'prune',
  summary: 'remove generations beyond KEEP_GENERATIONS',
  description: `Lists generations that nothing holds, beyond the KEEP_GENERATIONS newest of each tag. With --apply it removes them; the registry's garbage collection then frees the space. ${variables}`,
  operands: [
    {
      name: 'IMAGE',
      summary: 'only these; without any, the whole backup',
      isOptional: true,
      isRepeated: true,
    },
  ],
  options: {
    apply: { type: 'switch', summary: 'remove them; without it, only list them' },
    json: jsonOption,
    installation: installationOption,
    used: {
      type: 'text',
      value: 'FILE',
      summary: 'a text of any format; every digest in it is kept, as the output of kubectl',
    },
  },
  examples: [
    { command: 'image-cloner prune', explanation: 'what would be removed' },
    {
      command: 'image-cloner prune --apply nginx:1.27',
      explanation: 'remove the old generations of one tag',
    },
    {
      command: 'image-cloner prune --apply --used used.yaml',
      explanation:
        'with used.yaml of: kubectl get pods,deploy,ds,sts,cj,job -A -o yaml > used.yaml',
    },
  ],
  run: async (args) => (await import('./run.ts')).runPrune(args),
};
