import { describe, expect, it } from 'vitest'
import { riskOf } from '../../src/profile/socket-risks.js'

describe('sockets that hand out more than their name says', () => {
  it.each([
    ['/run/docker.sock', /root/],
    ['/run/user/1000/podman/podman.sock', /root/],
    ['/run/containerd/containerd.sock', /root/],
    ['/run/systemd/private', /outside/],
    ['/run/user/1000/systemd/private', /outside/],
    ['/run/user/1000/bus', /session bus/],
    ['/run/dbus/system_bus_socket', /system bus/],
    ['/tmp/.X11-unix/X0', /types/],
    ['/run/user/1000/wayland-0', /Wayland/],
    ['/tmp/tmux-1000/default', /outside/],
    ['/tmp/ssh-abc/agent.12', /keys/],
    ['/home/u/.gnupg/S.gpg-agent', /keys/],
    ['/run/user/1000/ssh-agent.socket', /keys/]
  ])('%s', (path, risk) => expect(riskOf(path, false)).toMatch(risk))

  it.each([
    '/run/postgresql/.s.PGSQL.5432',
    '/run/mysqld/mysqld.sock',
    '/run/redis/redis.sock',
    '/home/u/app/agents.sock'
  ])('%s has none', (path) => expect(riskOf(path, false)).toBeUndefined())

  it('a name in a folder that the payload may write', () => {
    expect(riskOf('/home/u/p/db.sock', true)).toMatch(/writable grant/)
    expect(riskOf('/home/u/p/docker.sock', true)).toMatch(/root on the host; it lies in a writable grant/)
  })
})
