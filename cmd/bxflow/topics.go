package main

import "github.com/spf13/cobra"

// topics are texts of the help that belong to no command.
func topics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesHelp},
		{Use: "maps", Short: "How a job translates names", Long: mapsHelp},
		{Use: "notify", Short: "Who is told how runs end", Long: notifyHelp},
		{Use: "params", Short: "How a job takes parameters", Long: paramsHelp},
		{Use: "portals", Short: "How a portal is named and described", Long: portalsHelp},
		{Use: "progress", Short: "How progress is told, to people and programs", Long: progressHelp},
		{Use: "read", Short: "How rows come from files and databases", Long: readHelp},
	}
}

const exitCodesHelp = `Exit codes:

    0  done; with --detailed-exitcode: and nothing to change
    1  could not be finished: portal unreachable, no permission, disk full, …
    2  the job, a flag or an input file is wrong; nothing was written
    3  finished, but some rows failed or conflicted; test: some tests failed
    4  refused: a guard is broken, a saved plan is stale, used or damaged,
       another run holds the portal, or the answer was no
   10  plan --detailed-exitcode: there are changes
  130  interrupted by Ctrl-C or SIGTERM: stopped at a safe point

Results go to standard output, everything else to standard error.`

const mapsHelp = `A job may have maps in files, of what names of its source become on the portal:

  maps:
    stages: maps/stages.csv
    sources: maps/sources.yaml
  steps:
    - select: deal
      portal: old
    - import: deal
      match: originId
      stage: ${{ pick(deal.stageId, maps.stages) }}
      fields:
        sourceId: ${{ pick(deal.sourceId, maps.sources, "Other") }}

A CSV or TSV has the columns from and to, and may have others, for people; its
delimiter and encoding are detected. YAML has lines of old: new. Keys and values are
text: 012 is not 12, and a number is looked up as it is written. Upper and lower
case are equal, and so is any white space; a key that is there twice is an error.

pick gives what the map has for a value, or for each of a list; blank stays blank. A
value that the map lacks is an error of its row, or gives the third argument, where
there is one. A line whose right side is blank is still to be filled in: to pick it
is an error of the row in any case, and plan and validate warn of it.

bxflow map drafts the file for two portals. The files are in the job's folder, or
below it, and belong to the job: a saved plan is refused once they have changed.`

const notifyHelp = `A job may say who is told how its runs end:

  env: [OPS_HOOK, SMTP]
  notify:
    - on: [failure, partial]
      webhook: ${{ env.OPS_HOOK }}
    - on: failure
      email: {to: [ops@example.com], from: bxflow@example.com, server: "${{ env.SMTP }}"}
    - on: [success, plan]
      person: ana@example.com

The ends are success, partial (some rows failed), failure (also of what never came
to a run: a portal out of reach, a broken guard) and plan (serve: a job of mode
plan would change something). Who stops a run, or answers no, is told nothing.

A webhook gets a POST of JSON; its URL, https or this machine's, is a secret:

  {"format":1,"on":"partial","text":"clients finished, but …","job":"clients",
   "portal":"https://host/rest/1/***/","run":"20261126-…","status":"partial",
   "counts":{"created":5,"updated":0,"moved":0,"deleted":0,"unchanged":1,
   "skipped":0,"failed":1,"conflicts":0},"error":"","time":"2026-11-26T10:00:00Z"}

on: plan has "status":"planned" and the counts of the plan: create, update, move,
delete, unchanged, skip, invalid, conflict. Mail goes by smtp://host:587 (STARTTLS,
which must be there but on this machine) or smtps://, with user:password@ before
the host, and %-codes for special characters. A person is notified in the portal,
with the scope im. Messages have no data of rows and no secrets: what an error
quotes is left out, and the log has it.

run, apply, resume, retry and serve tell people once the run's record is safe and
the portal is free; undo, plan and test tell nobody, and neither does --no-notify.
A message is tried four times within a minute, but not again when it may have
arrived. What can't be told is a warning and changes no exit code. Of each end of a
run people are told once, whatever is resumed. A blank variable leaves an entry
out, with a warning.`

const paramsHelp = `A job lists its parameters, each with a type; --param name=value sets one:

  params:
    file:  {type: path, required: true}
    since: {type: date, default: 2026-01-31}
    tier:  {type: enum, values: [gold, silver], default: gold}
    rise:  {type: number, default: 7.5}
    again: {type: bool, default: false}

  bxflow plan job.yaml --param file=clients.csv --param tier=silver

The types are string (the default), number, int, bool, date, path and enum; float
is a number. A parameter without a default must be given. Expressions use them as
params.file. A path of the command line is relative to the present folder, else to
the job's; one in the job file may not leave the job's folder.`

const progressHelp = `On a terminal a bar shows how far a plan or run is: what is done, changes a
second, the time that is left, what is used of the portal's bucket of requests
and of the execution time of methods, and what is waited for. Elsewhere that is
a line of the log every ten seconds.

run, apply, resume and undo with --format json write, unless standard error is a
terminal, one JSON object a line to it instead, at most one a second, and none
with --quiet. It has this form:

  {"event":"progress","phase":"apply","done":600,"total":5000,"failed":0,
   "requests_per_second":2,"bucket":{"used":48,"burst":50,"rate":2},
   "execution":[{"method":"crm.item.add","used":310.5,"limit":480,"resets_in":41.2}],
   "waiting":"","eta_seconds":172}

Execution time is in seconds; resets_in is when the oldest part of it is
forgotten. total and eta_seconds are 0 while they are unknown. Lines without
"event" are those of the log and errors; --log-format json makes the log JSON.`

const portalsHelp = `A portal is named by --portal, else by the job's portal:, else by BXFLOW_PORTAL;
without any of them it is the built-in sandbox. It is one of

  sandbox           the built-in sandbox, kept in the state folder
  sandbox:memory    the same, forgotten at the end
  sandbox:copy      one more that is kept, named in small letters
  https://host/rest/1/secret/
                    a webhook's URL (http only to this machine)
  main              a name: looked up in BXFLOW_PORTAL_MAIN, then in the file
                    that BXFLOW_PORTAL_MAIN_FILE names, then in bxflow.yaml
                    beside the job or in a folder above it

A bxflow.yaml says what there is to say of portals:

  portals:
    main: https://host/rest/1/secret/
    big:
      url: https://big.example/rest/1/secret/
      plan: enterprise              # 5 requests a second after a burst of 250
      limits: {request: 60s, operating: 480s, window: 10m}
    copy: {url: "sandbox:copy", empty: true}   # begins without items

The limits are rate (requests a second) and burst, operating (execution time of
a method) in a window, and request (how long one request may run). --limits sets
them for one command. rate=0 and operating=0 mean none. A portal on a server of
one's own has the limits that its administrator set: say so with limits: {rate: 0}.
Where it tells no execution time, none is reckoned with.

An application (OAuth) acts instead of a webhook where the portal says so:

    app:
      url: https://host/rest/
      oauth: {client_id: local.6720c5e0.11223344}

Its secrets stand in no file that is shared: BXFLOW_PORTAL_APP_CLIENT_SECRET and
BXFLOW_PORTAL_APP_REFRESH_TOKEN have them, or files that these variables with
_FILE at the end name. The refresh token is the one that the portal gave when the
application was authorised. It serves once; those that follow it are kept in the
folder bxflow of the user's configuration (XDG_CONFIG_HOME), for all processes,
and found by the first one, so that stays in the environment. A token is renewed
when the portal says that it expired, and the call made again. token_server: of
oauth is another token server than https://oauth.bitrix.info/oauth/token/.

Secrets are never shown: https://host/rest/1/***/.`

//nolint:gosec // no password, but where it stands
const readHelp = `A read begins a stream of rows from a file: CSV, TSV, JSON, JSONL or XLSX, also as
.gz. Its kind, encoding and delimiter are detected: bxflow validate -v tells. A
pattern takes several files, and - is standard input.

  - read: in/export-*.csv
    key: id               # what makes a row the same row next time
    require: [id, name]   # columns that must be there
    newest: true          # only the file that was changed last
    settled: 30s          # once nobody has written to it for so long
    optional: true        # no file is no rows
    done: in/done         # where it goes once the run has succeeded
    failed: in/failed     # or failed, or finished with rows that did

done and failed are folders in the job's folder. Where a name is taken, the run's
id comes before its ending: export-20261123-140912-340-e4tbcjzg.csv. The result says
where files went: "moved":[{"file":"in/a.csv","to":"in/done/a.csv"}]. Standard input,
a link, and a file that was changed since it was read stay, and so does what an
interrupted run has read, until resume has ended it. A plan, a broken guard and what
never came to a run move nothing; undo moves nothing back. retry reads a file where
it was moved, so that it can be mended there.

Rows of PostgreSQL, MySQL or SQLite come by a query:

  env: [ERP_DSN]
  steps:
    - read:
        sql: select id, name from people where $1::timestamptz is null or changed > $1
        dsn: ${{ env.ERP_DSN }}
        args: ["${{ last_run }}"]
      key: id

The address is postgres://user:password@host:5432/database?sslmode=require,
mysql://user:password@host:3306/database?tls=true, or sqlite:erp.db, a file in the
job's folder. Characters such as : / ? # @ % in a password are written as %-codes.
That of a server comes from the environment, and is never shown.

The query only reads: it is one statement in a read-only transaction. Its text has
no expressions; values go under args, for $1, $2 … (PostgreSQL) or each ? (MySQL,
SQLite: also ?1). It is put twice for a plan, the first time for its columns, with
the same values; apply and resume put none, as a plan has its rows.

last_run is when the job's last run that succeeded was planned, and NULL before the
first: where ?1 is null or changed > ?1 takes all rows once, and then the new ones.
PostgreSQL has to be told the type of a value in "is null", as above. Times are in
UTC, for SQLite as text: 2026-11-23T02:30:00Z. A date, such as a parameter of that
type, is a day: 2026-11-23.

Cells are texts: numbers with all digits, days as 2006-01-02, times of no zone as
2006-01-02T15:04:05, those with one in UTC with a Z, NULL as a blank. A row with
bytes that are no text is an error of its own.`
