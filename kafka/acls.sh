#!/bin/sh
# Grants each role the ACLs that it needs, and no others. docs/security-kafka.md lists them with their reasons.
set -eu

usage() {
    cat <<'END'
Usage: kafka/acls.sh ROLE PRINCIPAL [OPTIONS] [-- ARGUMENTS]

Prints the commands that grant PRINCIPAL the rights of ROLE; with --apply, runs them. Repeating them changes nothing.

Roles:
  player         writes lesson events: course players, and websites that use ProgressService
  author         publishes versions of courses: who owns them, and course-progress catalog
  worker         reads lesson events and the catalog, writes course events and dead letters
  effects        course-progress effects: reads course events, learners and lesson events, writes dead letters
  registrar      says how to address learners: course-progress learners, and whoever else knows them
  certificates   a certificate service of your own, or any other: reads course events, in groups whose names begin with
                 GROUP
  operator       course-progress deadletters and rewind: reads and writes dead letters, writes lesson events, the
                 catalog and learners (to replay), reads the streams of workers and of effects and commits offsets in
                 their groups (to rewind)
  api            course-progress api: the rights of an operator but for rewind, for /api/ops, the page Operations and
                 /api/learners. Without these the rights of a player are enough

Options (for names that are not the defaults of PROGRESS_LESSON_EVENTS_TOPIC and so on):
  --group GROUP            course-progress, also for an operator, who may rewind GROUP-effects too; for effects:
                           course-progress-effects; for certificates: certificates, with which group names begin
  --lesson-events TOPIC    lesson-events
  --course-events TOPIC    course-events
  --course-catalog TOPIC   course-catalog
  --learners TOPIC         learners
  --dead-letters TOPIC     lesson-events.dlq
  --topic-settings         worker: also allow it to read the settings of lesson events and dead letters, so that it
                           warns where these topics do not keep what they should
  --apply                  run the commands
  --help                   this text

ARGUMENTS go to kafka-acls. KAFKA_ACLS is the command to run, with its own arguments; kafka-acls.sh by default.

Examples:
  kafka/acls.sh worker User:worker
  kafka/acls.sh worker User:worker --apply -- --bootstrap-server kafka:9093 --command-config admin.properties
  KAFKA_ACLS="kubectl exec kafka-0 -- /opt/kafka/bin/kafka-acls.sh" \
      kafka/acls.sh player User:player --apply -- --bootstrap-server localhost:9092
END
}

wrong() {
    echo "kafka/acls.sh: $1 (see kafka/acls.sh --help)" >&2
    exit 2
}

role="" principal="" group="" topic_settings="" apply=""
lesson_events=lesson-events course_events=course-events dead_letters=lesson-events.dlq course_catalog=course-catalog
learners=learners
while [ $# -gt 0 ]; do
    case $1 in
        --help) usage; exit ;;
        --topic-settings) topic_settings=yes ;;
        --apply) apply=yes ;;
        --) shift; break ;;
        --group | --lesson-events | --course-events | --course-catalog | --learners | --dead-letters)
            [ $# -gt 1 ] && [ -n "$2" ] || wrong "$1 needs a name"
            case $1 in
                --group) group=$2 ;;
                --lesson-events) lesson_events=$2 ;;
                --course-events) course_events=$2 ;;
                --course-catalog) course_catalog=$2 ;;
                --learners) learners=$2 ;;
                --dead-letters) dead_letters=$2 ;;
            esac
            shift
            ;;
        -*) wrong "unknown option $1" ;;
        *)
            if [ -z "$role" ]; then role=$1; elif [ -z "$principal" ]; then principal=$1; else wrong "unexpected argument $1"; fi
            ;;
    esac
    shift
done
case $principal in
    User:?*) ;;
    *) wrong "PRINCIPAL must look like User:worker" ;;
esac

[ -z "$topic_settings" ] || [ "$role" = worker ] || wrong "--topic-settings is for a worker"

# Read and Write imply Describe. Since Kafka 2.8 an idempotent producer needs nothing but Write on its topic.
allow() {
    if [ -n "$apply" ]; then
        # shellcheck disable=SC2086 -- a command and its arguments
        ${KAFKA_ACLS:-kafka-acls.sh} "$@"
    else
        printf %s "${KAFKA_ACLS:-kafka-acls.sh}"
        printf " '%s'" "$@"
        echo
    fi
}

case $role in
    player)
        allow "$@" --add --allow-principal "$principal" --operation Write --topic "$lesson_events"
        ;;
    author)
        allow "$@" --add --allow-principal "$principal" --operation Write --topic "$course_catalog"
        ;;
    worker)
        allow "$@" --add --allow-principal "$principal" --operation Read \
            --topic "$lesson_events" --topic "$course_catalog" \
            --group "${group:-course-progress}" --group "${group:-course-progress}-catalog"
        allow "$@" --add --allow-principal "$principal" --operation Write \
            --topic "$course_events" --topic "$dead_letters"
        [ -z "$topic_settings" ] || allow "$@" --add --allow-principal "$principal" --operation DescribeConfigs \
            --topic "$lesson_events" --topic "$dead_letters" --topic "$course_catalog"
        ;;
    effects)
        allow "$@" --add --allow-principal "$principal" --operation Read \
            --topic "$course_events" --topic "$learners" --topic "$lesson_events" \
            --group "${group:-course-progress-effects}" --group "${group:-course-progress-effects}-learners" \
            --group "${group:-course-progress-effects}-lessons"
        allow "$@" --add --allow-principal "$principal" --operation Write --topic "$dead_letters"
        ;;
    registrar)
        allow "$@" --add --allow-principal "$principal" --operation Write --topic "$learners"
        ;;
    certificates)
        allow "$@" --add --allow-principal "$principal" --operation Read --topic "$course_events"
        allow "$@" --add --allow-principal "$principal" --operation Read \
            --resource-pattern-type prefixed --group "${group:-certificates}"
        ;;
    operator | api)
        allow "$@" --add --allow-principal "$principal" --operation Read --topic "$dead_letters"
        allow "$@" --add --allow-principal "$principal" --operation Write \
            --topic "$dead_letters" --topic "$lesson_events" --topic "$course_catalog" --topic "$learners"
        if [ "$role" = api ]; then
            allow "$@" --add --allow-principal "$principal" --operation Describe --group "${group:-course-progress}"
        else
            # A rewind commits offsets in the group, too.
            allow "$@" --add --allow-principal "$principal" --operation Read \
                --topic "$lesson_events" --topic "$course_catalog" --topic "$course_events" --topic "$learners" \
                --group "${group:-course-progress}" --group "${group:-course-progress}-catalog" \
                --group "${group:-course-progress}-effects" --group "${group:-course-progress}-effects-learners" \
                --group "${group:-course-progress}-effects-lessons"
        fi
        ;;
    *) wrong "ROLE must be player, author, worker, effects, registrar, certificates, operator or api" ;;
esac
