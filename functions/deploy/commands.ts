import type { Command, Option } from '../shared/command-line/index.ts';
import { jsonOption, settingsOption } from '../shared/options.ts';

const variables =
  'NAME and NAMESPACE select the installation; variables that are not set keep what is deployed, see knative/configuration.md.';
const yesOption: Option = { type: 'switch', summary: 'do not ask' };

export const deploy: Command = {
  name: 'deploy',
  summary: 'install into the cluster, or change an installation',
  description: `Checks everything first and lists all that is missing at once; then applies what differs. The webhook is registered last, when the API server got an answer from it and a node pulled a copy. ${variables}`,
  options: { settings: settingsOption, yes: yesOption },
  exitCodes: { 0: 'installed', 1: 'a step failed; the message says what was done before' },
  examples: [
    { command: 'image-cloner deploy --settings production.env', explanation: 'install, or change' },
    { command: 'ON_ERROR=admit image-cloner deploy', explanation: 'change one setting' },
  ],
  needsCheckout: true,
  run: async (args) => (await import('./run.ts')).runDeploy(args),
};

export const render: Command = {
  name: 'render',
  summary: 'print what deploy would apply, as one YAML stream',
  description: `For GitOps and for reviews. Needs CERTIFICATES=cert-manager or --without-ca: a controller that heals would put an old CA back. ${variables}`,
  options: {
    settings: settingsOption,
    'without-ca': {
      type: 'switch',
      summary: 'leave out the CA and the TLS Secret, which stay with the cluster',
    },
  },
  examples: [
    {
      command: 'image-cloner render --without-ca > image-cloner.yaml',
      explanation: 'for Argo CD or Flux',
    },
  ],
  needsCheckout: true,
  run: async (args) => (await import('./run.ts')).runRender(args),
};

export const status: Command = {
  name: 'status',
  summary: 'show whether writes pass, and the state of each part',
  description: `Reads the cluster and changes nothing. ${variables}`,
  options: {
    settings: settingsOption,
    json: jsonOption,
    watch: { type: 'switch', summary: 'show it again every five seconds, until Ctrl-C' },
  },
  exitCodes: { 0: 'every part is good', 1: 'a part is not good, or the cluster did not answer' },
  examples: [
    { command: 'image-cloner status', explanation: 'one line for each part' },
    { command: 'image-cloner status --watch', explanation: 'in an outage' },
    { command: 'NAME=second image-cloner status', explanation: 'of another installation' },
    {
      command: "image-cloner status --json | jq '.rows[] | select(.isGood | not)'",
      explanation: 'what is not good',
    },
  ],
  findProblems: ({ switches }) =>
    switches.has('json') && switches.has('watch')
      ? ['--json prints one document, and --watch does not end']
      : [],
  run: async (args) => (await import('./run.ts')).runStatus(args),
};

export const undeploy: Command = {
  name: 'undeploy',
  summary: 'remove what deploy installed, the webhook first',
  description: `Keeps the copies, the workloads, the namespace and its Secrets. In an emergency one command is enough: kubectl delete mutatingwebhookconfiguration image-cloner. ${variables}`,
  options: { settings: settingsOption, yes: yesOption },
  exitCodes: { 1: 'not confirmed, or a step failed' },
  examples: [
    { command: 'image-cloner undeploy', explanation: 'asks first' },
    { command: 'image-cloner undeploy --yes', explanation: 'in a script' },
  ],
  run: async (args) => (await import('./run.ts')).runUndeploy(args),
};
