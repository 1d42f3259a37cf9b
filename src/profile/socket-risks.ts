/** What reaching a socket comes to, by its canonical path. The first that fits is told; nothing is refused for it. */
const ROOT = 'whoever reaches it starts containers with any folder of the host: it is as good as root on the host'
const OUTSIDE = 'it starts programs outside of the jail, with all rights of its owner'

const RISKS: [where: RegExp, risk: string][] = [
  [/\/(docker|podman|containerd|crio|cri-dockerd|buildkitd|dockershim)[^/]*\.sock(\.ttrpc)?$/, ROOT],
  [/\/(lxd|incus)(-user)?\/unix\.socket(\.user)?$/, ROOT],
  [/\/libvirt\/[^/]*sock[^/]*$/, 'it starts virtual machines with any disk of the host'],
  [/\/snapd(-snap)?\.socket$/, 'it installs software on the host'],
  [/\/systemd\/private$/, OUTSIDE],
  [/^\/run\/dbus\/system_bus_socket$/, 'every service of the system bus answers there, some to whoever asks'],
  [/^\/run\/user\/\d+\/bus$|\/dbus-[^/]*$/, `the session bus: ${OUTSIDE}`],
  [/\/\.X11-unix\/X\d+$/, 'an X server: it shows and types into every window'],
  [/\/wayland-\d+$/, 'a Wayland server: windows on the screen, the clipboard'],
  [/\/(pipewire-\d+(-manager)?|pulse\/native)$/, 'it hears the microphone, and with PipeWire sees the screen'],
  [/\/tmux-\d+\/[^/]+$|\/screens?\/S-[^/]+\/[^/]+$|\/emacs\d*\/[^/]+$/, `a terminal or editor: ${OUTSIDE}`],
  [/\/vscode-(ipc|git)-[^/]*\.sock$/, `the editor: ${OUTSIDE}`],
  [
    /\/(ssh-[^/]+\/agent\.\d+|S\.gpg-agent[^/]*|keyring\/[^/]+|(open)?ssh[-_]agent[^/]*|gcr\/ssh)$/,
    'an agent: it signs with your keys'
  ]
]

const REPLACEABLE = 'it lies in a writable grant: who could write there before may have put another socket in its place'

export function riskOf(path: string, inWritable: boolean): string | undefined {
  const known = RISKS.find(([where]) => where.test(path))?.[1]
  return [known, inWritable ? REPLACEABLE : undefined].filter(Boolean).join('; ') || undefined
}
