// What moderators see in the margin: the desk above the notes, flags and verbs on each of them.
import { html, nothing, type TemplateResult } from 'lit-html'
import { repeat } from 'lit-html/directives/repeat.js'
import type { Flag, Told } from './moderation'
import { ago, form, type Actions, type Margin } from './view'

const REASONS: Record<string, [string, string, string]> = {
  flag: ['Why should a moderator look at this?', 'Why should a moderator look at this?', 'Send to the moderators'],
  hide: ['Why is this hidden? Only moderators read it', 'Why is this hidden?', 'Hide'],
  close: ['Why is this closed? Only moderators read it', 'Why is this closed?', 'Close it']
}

/** The desk above the notes; nothing for everybody else. */
export function deskView (margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const { told, pageClosed } = margin
  if (told === null) return nothing
  const { flags, hidden } = told.counts
  return html`
    <section class="desk" aria-labelledby="desk-head" tabindex="-1">
      <h3 id="desk-head">For moderators</h3>
      <p role="status"><span class="flag-count" ?data-waiting=${flags > 0}>${counted(flags, 'flag')}</span>, ${hidden} hidden, page ${pageClosed ? 'closed' : 'open'}</p>
      <ul>
        ${repeat(told.flags, ({ entity, user }) => `${entity} ${user}`, (flag) => html`<li>${flagText(flag, margin)}
          <div class="tools">
            <button type="button" @click=${() => actions.activate(threadOf(flag.entity))}>Show</button>
            <button type="button" @click=${() => actions.moderate('dismiss', flag.entity)}>It may stay</button>
          </div></li>`)}
        ${repeat(told.hidden, ({ entity }) => entity, ({ entity, creator, excerpt, by, reason }) => html`<li>
          <span class="mark">Hidden</span> ${margin.nameOf(creator)}: <q>${excerpt}</q>
          <div>By ${margin.nameOf(by)}: <span class="why">${reason === '' ? 'no reason given' : reason}</span></div>
          <div class="tools"><button type="button" @click=${() => actions.moderate('unhide', entity)}>Unhide</button></div></li>`)}
      </ul>
      ${reasonForm('page', margin, actions)}
      <div class="tools">
        ${pageClosed
          ? html`<button type="button" @click=${() => actions.moderate('reopen', 'page')}>Reopen the page</button>`
          : html`<button type="button" @click=${() => actions.startEdit('close page')}>Close the page</button>`}
      </div>
    </section>`
}

/** Flags of one note or thread, for moderators; how many, where its card is folded. */
export function flagsView (entity: string, folded: boolean, margin: Margin): TemplateResult | typeof nothing {
  const below = (name: string): boolean => name === entity || (folded && name.startsWith(`${entity}/`))
  const flags = (margin.told?.flags ?? []).filter((flag) => below(flag.entity))
  if (flags.length === 0) return nothing
  if (folded) return html`<p class="flagged">${counted(flags.length, 'flag')}</p>`
  return html`<ul class="flags">${flags.map((flag) => html`<li>${flagText(flag, margin)}</li>`)}</ul>`
}

/** Flag for everybody on others' notes, hide for moderators; or the form that asks for the reason. */
export function verbs (entity: string, mine: boolean, margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const moderates = margin.told !== null
  return html`
    ${mine || !entity.includes('/') ? nothing : html`<button type="button" @click=${() => actions.startEdit(`flag ${entity}`)}>Flag</button>`}
    ${moderates ? html`<button type="button" @click=${() => actions.startEdit(`hide ${entity}`)}>${entity.includes('/') ? 'Hide' : 'Hide thread'}</button>` : nothing}`
}

/** Close and reopen a thread, for moderators. */
export function closing (thread: string, closed: boolean, margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  if (margin.told === null) return nothing
  return closed
    ? html`<button type="button" @click=${() => actions.moderate('reopen', thread)}>Reopen to replies</button>`
    : html`<button type="button" @click=${() => actions.startEdit(`close ${thread}`)}>Close to replies</button>`
}

/** Where a thread takes no replies: that it is so, and to moderators why. */
export function closedView (thread: string, told: Told | null): TemplateResult {
  const reason = told?.closed.find(({ entity }) => entity === thread || entity === 'page')?.reason ?? ''
  return html`<p class="settled">Closed by a moderator${reason === '' ? '' : `: ${reason}`}</p>`
}

/** The form for a reason, where one was asked for on this note. */
export function reasonForm (entity: string, margin: Margin, actions: Actions): TemplateResult | typeof nothing {
  const [action = '', name] = (margin.editing ?? '').split(' ')
  if (name !== entity || REASONS[action] === undefined) return nothing
  const send = (reason: string): void => actions.moderate(action as 'flag' | 'hide' | 'close', entity, reason)
  return html`<div data-ask>${form(`${action} ${entity}`, REASONS[action], send, () => actions.startEdit(null), '', 500)}</div>`
}

function flagText ({ user, at, reason }: Flag, margin: Margin): TemplateResult {
  return html`<span class="mark">Flag</span> ${margin.nameOf(user)}, ${ago(at, margin.now)}: <span class="why">${reason === '' ? 'no reason given' : reason}</span>`
}

const threadOf = (entity: string): string => entity.split('/')[0]!
const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
