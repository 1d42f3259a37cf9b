// The test world itself: what every test in this folder takes for granted of it.
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { type User, users } from '../support/user.js'
import { copyScripts, HAS } from './programs.js'
import { requireReach } from './support.js'
import { World } from './world.js'

const user = users[0] as User

let world: World
beforeAll(async () => {
  world = await World.open()
  copyScripts(world.folder)
}, 240_000)
afterAll(() => world?.close())
beforeEach(() => {
  requireReach(user)
  skipUnless(HAS.python3, 'needs python3')
})

// A kernel forgets a neighbour that nobody spoke with for some seconds, which on a slow machine is between any two steps.
it.each(['203.0.113.10', '2001:db8::10'])('%s finds its way back to a client that it forgot', async (address) => {
  const connect = ['python3', `${world.folder}/clients/shell.py`, `connect ${address} 7`]
  const answer = async () => (await world.bare(user, connect)).stdout
  expect(await answer()).toBe(`connect ${address} 7: ok\n`)
  await world.forgetNeighbours()
  expect(await answer()).toBe(`connect ${address} 7: ok\n`)
})
