#!/bin/sh
# Docker Compose on compose.yaml. COMPOSE is the program.
cd "$(dirname "$0")" || exit 1
results=0
complaint=$(mktemp)
trap '"$COMPOSE" --profile debug down -v --timeout 1 >/dev/null 2>&1; rm -f "$complaint"' EXIT

compose() { "$COMPOSE" --ansi never --progress plain "$@"; }

# is WHAT WANTED COMMAND... runs a command that must succeed and print what is wanted.
is() {
	what=$1 wanted=$2
	shift 2
	got=$("$@" 2>"$complaint")
	status=$?
	results=$((results + 1))
	if [ "$status" = 0 ] && [ "$got" = "$wanted" ]; then
		echo "ok - $what"
	else
		echo "not ok - $what: status $status, $(printf '%s' "$got" | tr '\n' '~') and not $(printf '%s' "$wanted" | tr '\n' '~');" \
			"$(tail -n 8 "$complaint" | tr '\n' '~')"
	fi
}

sorted() { compose "$@" | sort; }
words() { compose "$@" | sort | tr '\n' ' '; }
quietly() { compose "$@" >&2; }
fails() { if compose "$@" >&2; then return 1; fi; }
id() { compose ps -aq "$1"; }
same() { [ "$1" = "$2" ] && echo same || echo another; }
# A static busybox cannot look names up on a machine with dynamic libraries, and does so for numbers, too.
from_host() {
	timeout 20 bash -c 'exec 3<>/dev/tcp/127.0.0.1/18080 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' | tail -n 1
}
seeds() { [ "$(compose exec -T db grep -c seeded /store/seed)" "$@" ] && echo yes; }

is "config lists the services" "app db seed web " words config --services
is "config lists a profile's services" "app db seed tools web " words --profile debug config --services
is "config knows the volumes" "store" compose config --volumes
is "up waits for what was ordered" "" quietly up -d
is "ps shows who runs" "app running
db running healthy
web running" sh -c '"$COMPOSE" ps --format "{{.Service}} {{.State}} {{.Health}}" | sed "s/ *$//" | sort'
is "ps -a shows who has ended" "seed exited 0" compose ps -a --format '{{.Service}} {{.State}} {{.ExitCode}}' seed
is "db was ready when app asked" "db says ready, I say hello" compose logs --no-log-prefix app
is "logs have the name in front" "app-1  | db says ready, I say hello" compose logs --no-color app
is "a service is reached by its name" "ready" compose exec -T app wget -q -O - http://db/ready
is "a service is reached by the name of its container" "ready" compose exec -T app wget -q -O - http://shop-db-1/ready
is "a service is reached by its alias" "good day" compose exec -T web wget -q -O - http://application/motd
is "who shares no network is not reached" "" fails exec -T web wget -q -T 3 -O - http://db/ready
is "a config is a file" "good day" compose exec -T app cat /etc/motd
is "a port is published" "front page" from_host
is "port says where" "127.0.0.1:18080" compose port web 80
is "a bound file is there" "name: shop" compose exec -T web grep '^name:' /mnt/file
is "exec has an exit status" "7" sh -c '"$COMPOSE" exec -T web sh -c "exit 7"; echo $?'
is "exec has an environment, a user and a directory" "x 1000 /data" \
	compose exec -T -e v=x -u worker -w /data app sh -c 'echo $v $(id -u) $(pwd)'
is "run starts one more, and removes it" "ready" compose run --rm -T --no-deps app wget -q -O - http://db/ready
is "a profile's service is absent" "" compose ps -aq tools
is "a profile's service comes when it is asked for" "" quietly --profile debug up -d tools
is "and runs" "running" compose ps --format '{{.State}}' tools
is "stop and rm take it away" "" quietly --profile debug rm -s -f tools
is "ps no longer shows it" "" compose ps -aq tools
is "scale starts another" "" quietly up -d --no-recreate --scale app=2
is "both run" "shop-app-1 shop-app-2 " words ps --format '{{.Name}}' app
is "exec --index reaches each" "good day" compose exec -T --index 2 app cat /etc/motd
is "scale goes back" "" quietly scale app=1
is "one is left" "shop-app-1" compose ps -a --format '{{.Name}}' app
db=$(id db) app=$(id app)
is "restart keeps the container" "" quietly restart -t 1 web
is "and starts its program again" "2" sh -c '"$COMPOSE" logs --no-log-prefix web | grep -c .'
is "pause is seen" "" quietly pause web
is "by ps" "paused" compose ps --format '{{.State}}' web
is "unpause is, too" "" quietly unpause web
is "by ps again" "running" compose ps --format '{{.State}}' web
is "top lists processes" "1" sh -c '"$COMPOSE" top web | grep -c httpd'
is "stats answer" "shop-web-1" compose stats --no-stream --format '{{.Name}}' web
is "images are listed" "box latest" sh -c '"$COMPOSE" images --format json web | tr -d " " | tr "," "\n" |
	sed -n "s/.*\"Repository\":\"\(.*\)\"/\1/p; s/.*\"Tag\":\"\(.*\)\"/\1/p" | tr "\n" " " | sed "s/ $//"'
is "cp into a service" "" quietly cp scenario.sh web:/data/in
is "cp out of a service" "#!/bin/sh" sh -c '"$COMPOSE" cp web:/data/in - | head -c 521 | tail -c 9'
is "kill ends" "" quietly kill web
is "with what kill says" "137" compose ps -a --format '{{.ExitCode}}' web
is "start starts again" "" quietly start web
is "a change is made" "" sh -c 'GREETING=salute "$COMPOSE" up -d >&2'
is "what changed is another container" "another" same "$app" "$(id app)"
is "what did not is the same" "same" same "$db" "$(id db)"
is "the new one has the change" "db says ready, I say salute" compose logs --no-log-prefix app
is "a note goes into the volume" "" quietly exec -T db sh -c 'echo kept > /store/note'
is "down" "" quietly down -t 1
is "nobody is left" "" compose ps -aq
is "up once more, and wait for health" "" quietly up -d --wait db
is "the volume has its files" "kept" compose exec -T db cat /store/note
is "seed ran on it before" "yes" seeds -gt 1
is "down -v" "" quietly down -v -t 1
is "no project is left" "[]" compose ls -a --format json
is "up after that" "" quietly up -d --wait db
is "the volume is a new one" "yes" seeds -eq 1
is "without what was in the old one" "" fails exec -T db cat /store/note
is "down -v at the end" "" quietly down -v -t 1
echo "1..$results"
