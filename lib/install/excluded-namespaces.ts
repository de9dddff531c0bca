/** Knative's gateways that we know, and the namespace in which each one's pods are. */
export const gatewayNamespaces = {
  kourier: 'kourier-system',
  contour: 'contour-external',
  istio: 'istio-system',
} as const;

/**
 * Never looked into, whatever their labels say: the way from the API server to us leads through these, and if they needed us to start,
 * neither would. Both the webhook configuration and the handler exclude them, since anybody may write the former.
 */
export const excludedNamespaces: readonly string[] = [
  // Cluster DNS, kube-proxy and most pod networks; the other two networks that have a namespace of their own.
  'kube-system',
  'calico-system',
  'kube-flannel',
  // Knative itself, and what puts it there.
  'knative-operator',
  'knative-serving',
  ...Object.values(gatewayNamespaces),
  // Contour's second gateway, through which the first one's requests go on.
  'contour-internal',
];
