// Who reads here: the user of this window, and how people are called and coloured.

export interface Reader { id: string, name: string }

const PIGMENTS = ['Ochre', 'Vermilion', 'Indigo', 'Azurite', 'Saffron', 'Verdigris', 'Umber', 'Madder']
const CREATURES = ['Snail', 'Hare', 'Fox', 'Owl', 'Heron', 'Hound', 'Griffin', 'Otter', 'Stag', 'Wren']
const KEPT = 'crdt-chat:reader'
export const TONES = 8

/** The person of a token; else `?user=ada&name=Ada` of the page's address, or a made-up reader that this browser keeps. */
export function thisReader (search: URLSearchParams, token: string | null): Reader {
  const person = token === null ? null : personOf(token)
  if (person !== null) return person
  const given = search.get('user')
  const id = given ?? keptId()
  return { id, name: search.get('name') ?? nameOf(id) }
}

/** Whose token it says to be (the server finds out); null for what is no token. */
function personOf (token: string): Reader | null {
  try {
    const claims = atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'))
    const bytes = Uint8Array.from(claims, (char) => char.charCodeAt(0))
    const { sub, name = sub } = JSON.parse(new TextDecoder().decode(bytes))
    return { id: String(sub), name: String(name) }
  } catch {
    return null
  }
}

/** Lets a link open the page as somebody else each time. */
export function offerAnother (link: HTMLAnchorElement): void {
  const another = (): void => { link.href = `?user=${inventId()}` }
  link.addEventListener('click', () => setTimeout(another))
  another()
}

/** A fresh made-up id, as `vermilion-hare-3f9c`. */
function inventId (): string {
  const [a = 0, b = 0, c = 0] = crypto.getRandomValues(new Uint16Array(3))
  const words = [PIGMENTS[a % PIGMENTS.length], CREATURES[b % CREATURES.length]]
  return `${words.join('-').toLowerCase()}-${c.toString(16).padStart(4, '0')}`
}

/** What to call somebody of whom only the id is known. */
export function nameOf (id: string): string {
  if (!/^[a-z]+(-[a-z]+)*(-[0-9a-f]{4})?$/.test(id)) return id
  const words = id.replace(/-[0-9a-f]{4}$/, '').split('-')
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ')
}

/** One or two letters for the badge of a name. */
export function initials (name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== '')
  return words.slice(0, 2).map((word) => Array.from(word)[0]!.toUpperCase()).join('')
}

/** The number of somebody's colour: the same in every browser. */
export function toneOf (id: string): number {
  let hash = 0
  for (const char of id) hash = (hash * 31 + char.codePointAt(0)!) >>> 0
  return hash % TONES
}

function keptId (): string {
  const kept = localStorage.getItem(KEPT)
  if (kept !== null) return kept
  const id = inventId()
  localStorage.setItem(KEPT, id)
  return id
}
