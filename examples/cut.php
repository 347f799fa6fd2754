<?php
// Cut a picture with PHP's curl extension: php cut.php photo.jpg cutout.png
// BGONE_URL is the server's address, BGONE_KEY a key where it needs one.

[, $photo, $cutout] = $argv;
$url = getenv('BGONE_URL') ?: 'http://127.0.0.1:8000';
$key = getenv('BGONE_KEY');

$file = fopen("$cutout.part", 'w+b');
$request = curl_init("$url/cut/v1");
curl_setopt_array($request, [
    CURLOPT_POSTFIELDS => ['image' => new CURLFile($photo), 'crop' => 'true', 'margin' => '5%'],
    CURLOPT_HTTPHEADER => $key ? ["X-Api-Key: $key"] : [],
    CURLOPT_FILE => $file, // the answer goes to disk as it comes
    CURLOPT_TIMEOUT => 60,
]);
$done = curl_exec($request);
$status = curl_getinfo($request, CURLINFO_RESPONSE_CODE);
rewind($file);
if (!$done || $status !== 200) {
    $problem = json_decode(stream_get_contents($file), true);
    unlink("$cutout.part");
    fwrite(STDERR, ($problem ? "{$problem['code']}: {$problem['detail']}" : curl_error($request)) . "\n");
    exit(1);
}
fclose($file);
rename("$cutout.part", $cutout);
