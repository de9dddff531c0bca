import type { Option } from './command-line/index.ts';

/** Options that several commands have. */
export const settingsOption: Option = {
  type: 'text',
  value: 'FILE',
  summary: 'variables as NAME=value, one per line; the environment wins over them',
};

export const installationOption: Option = {
  type: 'text',
  value: 'NAMESPACE/NAME',
  isValueOptional: true,
  summary:
    "use the settings of this installation in the kubeconfig's cluster; the environment wins",
};

export const sharedOption: Option = {
  type: 'switch',
  summary: 'also copy what only your own docker login opens: every namespace may use the copy',
};

export const jsonOption: Option = {
  type: 'switch',
  summary: 'print one JSON document, and nothing else, to standard output',
};
