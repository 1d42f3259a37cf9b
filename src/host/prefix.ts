const PLACE = '/lib/node_modules/qi-jail'

/**
 * PREFIX/bin/node of a package that `npm install --global` laid in PREFIX/lib/node_modules: the launcher runs it before the Node of
 * PATH, whether it is there or not (native/cache/launch.cc). Undefined for a package elsewhere.
 */
export const nodeOfPrefix = (packageDir: string): string | undefined =>
  packageDir.endsWith(PLACE) ? `${packageDir.slice(0, -PLACE.length)}/bin/node` : undefined
