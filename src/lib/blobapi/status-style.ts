// The status page's style: light and dark, one column on a phone.
export const STATUS_STYLE = `
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5b6778;--line:#dfe4ea;--l1:#1c7c54;--l2:#2f6fd0;--store:#c2571a;--empty:#e6eaef;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e6ebf2;--soft:#9aa7b8;--line:#2b3442;--l1:#4cc38a;--l2:#6ea8ff;--store:#f0944d;--empty:#2a3340;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;padding:1rem clamp(.75rem,3vw,2rem) 2rem;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
[hidden]{display:none!important}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem .75rem;margin-bottom:1rem}
h1{font-size:1.35rem;margin:0}
h2{font-size:.8rem;margin:0 0 .5rem;color:var(--soft);font-weight:600;text-transform:uppercase;letter-spacing:.04em}
header p{flex-basis:100%;margin:0;color:var(--soft);overflow-wrap:anywhere;font-size:.85rem}
.state{padding:.05rem .6rem;border-radius:1rem;border:1px solid currentColor;color:var(--l1);font-size:.8rem}
.state.bad{color:var(--bad)}
main{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:.75rem}
@media(max-width:56rem){main{grid-template-columns:minmax(0,1fr)}}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.85rem 1rem;min-width:0}
.wide{grid-column:1/-1}
.num,td.n{font-variant-numeric:tabular-nums}
.big{font-size:2rem;font-weight:650;margin:0 0 .25rem;line-height:1.15}
.small{font-size:.82rem;color:var(--soft);margin:.35rem 0 0}
#chart{width:100%;height:8rem;display:block;background:linear-gradient(var(--line),var(--line)) bottom/100% 1px no-repeat}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;margin:.5rem 0 0;padding:0;font-size:.85rem}
.legend i{display:inline-block;width:.7rem;height:.7rem;border-radius:.15rem;margin-right:.4rem}
i.l1{background:var(--l1)}i.l2{background:var(--l2)}i.store{background:var(--store)}
path.l1{fill:var(--l1)}path.l2{fill:var(--l2)}path.store{fill:var(--store)}
.bar{width:100%;height:.5rem;display:block;border-radius:.25rem;overflow:hidden}
.back{fill:var(--empty)}.fill{fill:var(--l2)}.mark{fill:var(--ink)}
.meter{margin-top:.5rem}.row{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;font-size:.85rem;margin-bottom:.15rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th{text-align:left;color:var(--soft);font-weight:500}th,td{padding:.25rem 1rem .25rem 0;white-space:nowrap}
td.n,th.n{text-align:right}
@media(max-width:34rem){tr{display:grid;grid-template-columns:3fr 2fr 2fr 3fr;gap:0 .75rem;padding:.2rem 0}th,td{padding:0}td.name{white-space:normal;overflow-wrap:anywhere}th.digest{display:none}td.digest{grid-column:1/-1;color:var(--soft)}}
.file{margin-top:.6rem}.file .name{overflow-wrap:anywhere}
.heat{width:100%;height:1rem;display:block;border-radius:.2rem}
.heat rect{fill:var(--l1)}.heat .back{fill:var(--empty)}
form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin-bottom:1rem}
input,button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:.35rem;padding:.35rem .6rem}
.error{display:grid;grid-template-columns:max-content 1fr;gap:0 .75rem;font-size:.85rem;padding:.3rem 0;border-top:1px solid var(--line)}
.error b{color:var(--bad)}.error span{grid-column:1/-1;overflow-wrap:anywhere}
`;
