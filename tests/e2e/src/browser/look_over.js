// Lists what a person would stumble over on the page that is shown.
const faults = [];
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width)
  faults.push(`the page is ${document.documentElement.scrollWidth} px wide`);
for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
  if (!field.labels || !field.labels.length) faults.push(`the field ${field.name} has no label`);
if (document.querySelectorAll('h1').length !== 1) faults.push('the page has not one heading');
if (!document.title) faults.push('the page has no title');
const before = document.activeElement;
for (const each of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')) {
  const box = each.getBoundingClientRect();
  const inside = each.tagName === 'SUMMARY' ? each.parentElement.parentElement : each;
  if (!box.width || inside.closest('details:not([open])')) continue;
  each.focus({ preventScroll: true, focusVisible: true });
  if (document.activeElement !== each) { faults.push(`${each.outerHTML.slice(0, 80)} takes no focus`); continue; }
  const style = getComputedStyle(each);
  if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2)
    faults.push(`${each.outerHTML.slice(0, 80)} does not show that it has the focus`);
  if (box.height < 20 && each.tagName === 'BUTTON') faults.push(`${each.innerText} is ${box.height} px high`);
}
before.focus({ preventScroll: true });
if (before === document.body) document.activeElement.blur();
return faults;
