#!/usr/bin/env bash
# Puts the Kafka server of pom.xml, with an archive of its classes that halves the start, into the cache:
# $COMPTOIR_CACHE/kafka-<version>/{lib/*.jar,classes.jsa}. Does nothing when all is there.
set -euo pipefail
export LC_ALL=C # the order of the jars is part of the class archive

here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
folder=${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}/kafka-$version
java=$(java -version 2>&1)

work=
server=
clean_up() {
    if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null || true; fi
    if [ -n "$work" ]; then rm -rf "$work"; fi
}
trap clean_up EXIT

mkdir -p "$folder"
# Two runs at a time would move one folder into the other's.
exec 9>"$folder/lock"
flock 9

if [ ! -d "$folder/lib" ]; then
    echo "Fetching Apache Kafka $version into $folder"
    work=$(mktemp -d "$folder/fetch.XXXXXX")
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/lib"
    mv "$work/lib" "$folder/lib"
    rm -rf "$work"
fi

# An archive fits one version of the JVM only.
if [ -e "$folder/classes.jsa" ] && [ "$java" = "$(cat "$folder/java-version")" ]; then
    exit 0
fi
echo "Archiving the classes that Kafka $version loads at its start"
work=$(mktemp -d "$folder/archive.XXXXXX")
class_path=$(printf '%s:' "$folder"/lib/*.jar)
run=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx384m
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.log.kafka.server=info
    -cp "${class_path%:}")
controller=127.0.0.1:$((10000 + RANDOM % 20000))
cat >"$work/server.properties" <<END
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://$controller
advertised.listeners=PLAINTEXT://127.0.0.1:9092
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$work/data
offsets.topic.replication.factor=1
END
"${run[@]}" kafka.tools.StorageTool format --standalone \
    --cluster-id comptoirComptoirArchiv --config "$work/server.properties" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
"${run[@]}" -XX:ArchiveClassesAtExit="$work/classes.jsa" kafka.Kafka "$work/server.properties" >"$work/log" 2>&1 9>&- &
server=$!
for ((i = 0; i < 600; i++)); do
    grep -q 'Kafka Server started' "$work/log" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
kill -TERM "$server"
wait "$server" || true # a JVM that got a SIGTERM answers 143
server=
mv -f "$work/classes.jsa" "$folder/classes.jsa"
echo "$java" >"$folder/java-version"
