/** The supported Knative gateways and the namespaces of their pods. */
export const gatewayNamespaces = {
  kourier: 'kourier-system',
  contour: 'contour-external',
  istio: 'istio-system',
} as const;

/**
 * Namespaces that no label opts in: requests of the API server reach the webhook through these, so they must start without it.
 * The handler excludes them too, because a webhook configuration can be edited by hand.
 */
export const excludedNamespaces: readonly string[] = [
  // Cluster DNS, kube-proxy and most pod networks, then two pod networks with namespaces of their own.
  'kube-system',
  'calico-system',
  'kube-flannel',
  // Knative and its operator.
  'knative-operator',
  'knative-serving',
  ...Object.values(gatewayNamespaces),
  // The second gateway of Contour, which receives the requests of the first.
  'contour-internal',
];
