#include "features/alignment_page_assets.hpp"

namespace tape {

std::string_view const alignment_page_style = R"css(
:root{color-scheme:light dark;--paper:#fdfcf9;--ink:#1d2127;--muted:#5d636c;--rule:#d9d6cd;--box:#fff;
--hydrophobic:#f3c77c;--charged:#9cc7ea;--polar:#a5d9b4;--other:#e3e1db;
--ink-hydrophobic:#9a5b00;--ink-charged:#1a5c99;--ink-polar:#1f7440;--ink-other:#4d525a;--bar:#7c8796;--mark:#b3261e}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#ecebe6;--muted:#a3a8b0;--rule:#363b43;--box:#1a1e23;
--hydrophobic:#8a5a12;--charged:#1f5d8e;--polar:#25663c;--other:#30353d;
--ink-hydrophobic:#f0b455;--ink-charged:#7db8e8;--ink-polar:#7fcf97;--ink-other:#b9bec6;--bar:#8b95a3;--mark:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1400px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:28px;line-height:1.2;margin:0;overflow-wrap:anywhere}h2{font-size:20px;margin:40px 0 4px}
p{margin:4px 0 10px;max-width:75ch}.muted{color:var(--muted)}
dl{display:flex;flex-wrap:wrap;gap:12px 36px;margin:20px 0 0}dt{color:var(--muted);font-size:13px}
dd{margin:0;font-size:22px;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px;margin:6px 0 10px}
.legend i{display:inline-block;width:13px;height:13px;margin-right:6px;vertical-align:-2px;border-radius:2px}
.box{border:1px solid var(--rule);background:var(--box);border-radius:4px;overflow:auto;position:relative}
.track{position:relative;padding-left:var(--gutter)}.track svg{display:block}
.label{position:sticky;left:0;float:left;width:var(--gutter);margin-left:calc(-1*var(--gutter));padding:4px 8px;
background:var(--box);font-size:13px;line-height:1.3;height:100%;z-index:1}
.track .label{min-height:var(--h)}
:root{--gutter:150px}@media(max-width:600px){:root{--gutter:96px}main{padding:18px 12px 40px}h1{font-size:23px}}
svg text{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
svg .n{font-size:10px;fill:var(--muted)}.logo text{font-weight:700;font-size:10px}
.h{fill:var(--ink-hydrophobic)}.c{fill:var(--ink-charged)}.p{fill:var(--ink-polar)}.o{fill:var(--ink-other)}
.bar{fill:var(--bar)}.axis{stroke:var(--rule);fill:none}
.controls{display:flex;flex-wrap:wrap;gap:8px 18px;align-items:center;margin:8px 0;font-size:14px}
.controls input[type=search],.controls select{font:inherit;padding:3px 6px;background:var(--box);color:var(--ink);
border:1px solid var(--rule);border-radius:4px;max-width:100%}
#view{height:min(70vh,720px)}#view canvas{position:sticky;left:0;top:0;display:block}#space{position:absolute;left:0;top:0;width:1px;height:1px}
#tell{min-height:1.5em;font-size:14px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.map{position:relative;width:min(100%,620px);aspect-ratio:1;border:1px solid var(--rule);background:var(--box)}
.map canvas,.map svg{position:absolute;inset:0;width:100%;height:100%;image-rendering:pixelated}
.map .dot{fill:var(--mark)}.map .line{stroke:var(--rule);stroke-width:1;vector-effect:non-scaling-stroke}
.pairs{display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid var(--rule)}td.r,th.r{text-align:right}
pre{margin:0;padding:10px;font:12px/1.35 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre .h,pre .c,pre .p{color:var(--ink)}pre .h{background:var(--hydrophobic)}pre .c{background:var(--charged)}pre .p{background:var(--polar)}
.script{display:none}.on .script{display:block}.on .controls.script{display:flex}
)css";

// Rows in memory: one line each, "id \t identity \t coverage \t letters". Only the cells in view are drawn.
std::string_view const alignment_page_script = R"js(
'use strict';
(()=>{
const $=id=>document.getElementById(id),root=document.documentElement;
root.classList.add('on');
const plain=s=>s.replaceAll('&lt;','<').replaceAll('&amp;','&');
const rows=$('rows').textContent.trim().split('\n').map((line,index)=>{const f=line.split('\t');
  return{index,id:plain(f[0]),identity:+f[1],coverage:+f[2],letters:f[3]}});
const query=rows[0].letters,L=query.length,data=JSON.parse($('data').textContent);
const view=$('view'),canvas=view.querySelector('canvas'),space=$('space'),tracks=$('tracks'),pen=canvas.getContext('2d');
const CW=12,RH=16,HEAD=22;
let shown=rows,gutter=150,colour={};
const group=c=>'CAVLIMFW'.includes(c)?'hydrophobic':'DERK'.includes(c)?'charged':'STNQ'.includes(c)?'polar':c==='-'?'':'other';
const readColours=()=>{const s=getComputedStyle(root);
  for(const n of['paper','ink','muted','rule','box','hydrophobic','charged','polar','other','mark'])colour[n]=s.getPropertyValue('--'+n).trim();
  gutter=parseInt(s.getPropertyValue('--gutter'))};
const size=()=>{const r=devicePixelRatio||1,w=view.clientWidth,h=view.clientHeight;
  canvas.width=w*r;canvas.height=h*r;canvas.style.width=w+'px';canvas.style.height=h+'px';pen.setTransform(r,0,0,r,0,0);
  space.style.transform=`translate(${gutter+L*CW}px,${HEAD+shown.length*RH}px)`};
const draw=()=>{
  const w=view.clientWidth,h=view.clientHeight,x0=view.scrollLeft,y0=view.scrollTop,dots=$('dots').checked;
  pen.fillStyle=colour.box;pen.fillRect(0,0,w,h);
  const first=Math.max(0,Math.floor(x0/CW)),last=Math.min(L,Math.ceil((x0+w-gutter)/CW));
  const top=Math.max(0,Math.floor(y0/RH)),end=Math.min(shown.length,Math.ceil((y0+h-HEAD)/RH));
  pen.textAlign='center';pen.textBaseline='middle';pen.font='12px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace';
  for(let i=top;i<end;++i){const y=HEAD+i*RH-y0,row=shown[i];
    for(let c=first;c<last;++c){const letter=row.letters[c],x=gutter+c*CW-x0,g=group(letter);
      if(g){pen.fillStyle=colour[g];pen.fillRect(x,y,CW,RH-1)}
      pen.fillStyle=g?colour.ink:colour.muted;
      pen.fillText(dots&&row.index>0&&letter===query[c]&&letter!=='-'?'\u00b7':letter,x+CW/2,y+RH/2)}}
  pen.textAlign='left';pen.fillStyle=colour.box;pen.fillRect(0,0,gutter-2,h);
  for(let i=top;i<end;++i){const y=HEAD+i*RH-y0+RH/2,row=shown[i];
    pen.fillStyle=row.index?colour.muted:colour.ink;pen.fillText(fit(row.id),8,y)}
  pen.fillStyle=colour.box;pen.fillRect(0,0,w,HEAD-1);
  pen.textAlign='right';pen.fillStyle=colour.muted;pen.font='10px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace';
  for(let p=(Math.floor(first/10)+1)*10;p<=last;p+=10)if(gutter+p*CW-x0>gutter+8)pen.fillText(p,gutter+p*CW-x0-1,HEAD/2);
  pen.textAlign='left';pen.fillStyle=colour.box;pen.fillRect(0,0,gutter-2,HEAD-1);pen.fillStyle=colour.muted;
  pen.fillText(shown.length.toLocaleString('en')+' rows',8,HEAD/2);
  pen.fillStyle=colour.rule;pen.fillRect(0,HEAD-1,w,1);pen.fillRect(gutter-2,0,1,h)};
const fit=id=>{const n=Math.floor((gutter-16)/7.3);return id.length>n?'\u2026'+id.slice(1-n):id};
let waiting=false;
const soon=()=>{if(!waiting){waiting=true;requestAnimationFrame(()=>{waiting=false;draw()})}};
const choose=()=>{const key=$('sort').value,word=$('find').value.trim().toLowerCase();
  shown=rows.filter(r=>r.index===0||r.id.toLowerCase().includes(word));
  if(key!=='order')shown=[shown[0],...shown.slice(1).sort((a,b)=>b[key]-a[key]||a.index-b.index)];
  size();soon()};
const column=event=>{const r=view.getBoundingClientRect(),x=event.clientX-r.left-gutter+view.scrollLeft;
  return event.clientX-r.left<gutter?-1:Math.floor(x/CW)};
const about=c=>`position ${c+1} ${query[c]}: entropy ${data.entropy[c].toFixed(2)} nats, depth ${data.depth[c].toLocaleString('en')}, Neff ${data.neff[c].toFixed(1)}`;
view.addEventListener('pointermove',event=>{const c=column(event),y=event.clientY-view.getBoundingClientRect().top-HEAD;
  const row=y<0?undefined:shown[Math.floor((y+view.scrollTop)/RH)];
  $('tell').textContent=(row?`${row.id} (${(row.identity*100).toFixed(0)}% identity, ${(row.coverage*100).toFixed(0)}% coverage)`:'')
    +(c>=0&&c<L?`${row?' '+row.letters[c]+'; ':''}${about(c)}`:'')});
tracks.addEventListener('pointermove',event=>{const c=column(event);if(c>=0&&c<L)$('tell').textContent=about(c)});
let leader=null,free=0;
const follow=(from,to)=>from.addEventListener('scroll',()=>{
  if(from===view)soon();
  if(leader&&leader!==from)return;
  leader=from;to.scrollLeft=from.scrollLeft;clearTimeout(free);free=setTimeout(()=>{leader=null},80)},{passive:true});
follow(view,tracks);follow(tracks,view);
for(const id of['sort','find'])$(id).addEventListener('input',choose);
$('dots').addEventListener('input',soon);
const map=$('heat');
const heat=()=>{if(!map||!data.map)return;
  const bytes=Uint8Array.from(atob(data.map),c=>c.charCodeAt(0)),ink=map.getContext('2d'),image=ink.createImageData(L,L);
  const probe=document.createElement('canvas').getContext('2d');probe.fillStyle=colour.ink;probe.fillRect(0,0,1,1);
  const[r,g,b]=probe.getImageData(0,0,1,1).data;
  for(let i=0,k=0;i<L;++i)for(let j=i+1;j<L;++j,++k)image.data.set([r,g,b,bytes[k]],4*(j*L+i));
  ink.putImageData(image,0,0)};
const all=()=>{readColours();size();draw();heat()};
addEventListener('resize',all);matchMedia('(prefers-color-scheme:dark)').addEventListener('change',all);
all();
})();
)js";

} // namespace tape
